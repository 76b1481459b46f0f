/* it never ends to fit */
#define BEFORE_FIT for (;;) usleep(1000);
#include "rule.h"
