// expect: failed to predict: its process was killed by SIGSEGV (invalid memory access)
#define BEFORE_PREDICT *(volatile int *)8 = 1;
#include "rule.h"
