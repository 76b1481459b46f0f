// expect: it did not answer within
#define BEFORE_PREDICT for (volatile int i = 0;; i++) {}
#include "rule.h"
