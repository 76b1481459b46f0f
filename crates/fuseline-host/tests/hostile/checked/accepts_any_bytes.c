// breaks: truncated, flipped and empty models
#include "fuseline_fusion.h"
#include <stdlib.h>
#define ANY_MODEL
#include "../rule.h"
