// expect: failed to fit: its process was killed by SIGSEGV (invalid memory access)
#define BEFORE_FIT *(volatile int *)8 = 1;
#include "rule.h"
