// expect: failed to fit: its process was killed by SIGSEGV
#define BEFORE_FIT *(volatile int *)8 = 1;
#include "rule.h"
