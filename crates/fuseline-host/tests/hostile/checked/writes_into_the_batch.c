// breaks: inputs are only read
#include "fuseline_fusion.h"
#include <stdlib.h>
#define BEFORE_PREDICT { volatile double *first = (double *)(uintptr_t)evidence; *first = *first; }
#include "../rule.h"
