// expect: failed to load: it did not answer within 2s
#define BEFORE_INIT for (volatile int i = 0;; i++) {}
#include "rule.h"
