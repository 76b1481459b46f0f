// expect: ok
#include "rule.h"
