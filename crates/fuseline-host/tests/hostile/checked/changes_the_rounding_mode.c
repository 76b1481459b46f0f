// breaks: locale and rounding mode
#include "fuseline_fusion.h"
#include <stdlib.h>
#include <fenv.h>
#define BEFORE_FIT fesetround(FE_UPWARD);
#include "../rule.h"
