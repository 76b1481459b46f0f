// expect: failed to predict: its process was killed by
#define BEFORE_PREDICT free((void *)(uintptr_t)(evidence + 1));
#include "rule.h"
