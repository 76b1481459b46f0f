// expect: is built for ABI 9.0, this host speaks 1.0
#define TAG const char fuseline_fusion_tag[] = "FUSELINE-FUSION\0abi=9.0\0id=org.example.hostile\0";
#include "rule.h"
