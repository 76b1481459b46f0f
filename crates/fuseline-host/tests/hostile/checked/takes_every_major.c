// breaks: another major version
#include "fuseline_fusion.h"
#include <stdlib.h>
#define BEFORE_INIT host_abi = FSL_ABI;
#include "../rule.h"
