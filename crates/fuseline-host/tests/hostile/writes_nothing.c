// expect: broke the output law
#define BEFORE_PREDICT if (batch->rows > 0) return FSL_OK;
#include "rule.h"
