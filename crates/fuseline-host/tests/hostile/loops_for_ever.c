// expect: failed to predict: it did not answer within 2s
#define BEFORE_PREDICT for (volatile int i = 0;; i++) {}
#include "rule.h"
