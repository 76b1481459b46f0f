// expect: failed to load: it did not answer within 2 s (`limits.load`, by default)
#define BEFORE_INIT for (volatile int i = 0;; i++) {}
#include "rule.h"
