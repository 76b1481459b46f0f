// expect: failed to load: its process was killed by SIGSEGV (invalid memory access)
#define BEFORE_INIT *(volatile int *)8 = 1;
#include "rule.h"
