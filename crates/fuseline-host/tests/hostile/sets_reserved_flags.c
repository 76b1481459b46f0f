// expect: it sets reserved flags
#define BEFORE_INIT out->flags = 4;
#include "rule.h"
