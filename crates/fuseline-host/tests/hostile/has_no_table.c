// expect: its descriptor is null
#define BEFORE_INIT if (out != NULL) return FSL_OK;
#include "rule.h"
