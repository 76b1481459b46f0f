// expect: failed to fit: a code that the ABI does not know
#define BEFORE_FIT return 77;
#include "rule.h"
