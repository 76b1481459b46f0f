// expect: does not predict row
#define BEFORE_PREDICT *(double *)(uintptr_t)evidence = 0.25;
#include "rule.h"
