// expect: failed to predict: it did not answer within 2 s (`limits.call`, by default)
#define BEFORE_PREDICT for (volatile int i = 0;; i++) {}
#include "rule.h"
