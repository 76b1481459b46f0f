// expect: failed to fit: its process was killed by SIGFPE (arithmetic error, as a division by zero)
#define BEFORE_FIT { volatile int zero = 0; zero = 7 / zero; }
#include "rule.h"
