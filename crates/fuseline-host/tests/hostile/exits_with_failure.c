// expect: failed to predict: its process exited with code 7 before it answered
#define BEFORE_PREDICT _Exit(7);
#include "rule.h"
