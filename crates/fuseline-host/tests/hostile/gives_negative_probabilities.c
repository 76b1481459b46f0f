// expect: broke the output law in row
#define AFTER_PREDICT out[0] -= 1.0, out[1] += 1.0;
#include "rule.h"
