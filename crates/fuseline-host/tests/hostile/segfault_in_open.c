// expect: failed to open a model: its process was killed by SIGSEGV (invalid memory access)
#define BEFORE_OPEN *(volatile int *)8 = 1;
#include "rule.h"
