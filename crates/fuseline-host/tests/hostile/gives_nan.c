// expect: broke the output law in row
#define AFTER_PREDICT out[0] = 0.0 / (out[0] - out[0]);
#include "rule.h"
