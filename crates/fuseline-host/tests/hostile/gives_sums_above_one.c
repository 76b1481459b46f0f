// expect: the probabilities sum to 1.5
#define AFTER_PREDICT out[classes] += 0.5;
#include "rule.h"
