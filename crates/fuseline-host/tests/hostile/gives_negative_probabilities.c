// expect: broke the output law in row 0: a probability is -
#define AFTER_PREDICT out[0] -= 1.0, out[1] += 1.0;
#include "rule.h"
