// expect: broke the output law in row 1: the probabilities sum to
#define AFTER_PREDICT out[classes] += 0.5;
#include "rule.h"
