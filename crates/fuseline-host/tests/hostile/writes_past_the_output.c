// expect: failed to predict: its process was killed by
#define AFTER_PREDICT memset(out + batch->rows * classes, 0x41, 1 << 28);
#include "rule.h"
