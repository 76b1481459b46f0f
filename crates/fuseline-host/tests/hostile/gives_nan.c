// expect: broke the output law in row 0: a probability is NaN
#define AFTER_PREDICT out[0] = 0.0 / (out[0] - out[0]);
#include "rule.h"
