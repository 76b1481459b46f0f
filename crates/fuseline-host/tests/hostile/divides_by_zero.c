// expect: SIGFPE
#define BEFORE_FIT { volatile int zero = 0; zero = 7 / zero; }
#include "rule.h"
