// expect: failed to fit: its process exited with code 0 before it answered
#define BEFORE_FIT exit(0);
#include "rule.h"
