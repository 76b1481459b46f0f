// expect: its id is org.example.hostile and the tag says org.example.other
#define TAG FSL_TAG("org.example.other")
#include "rule.h"
