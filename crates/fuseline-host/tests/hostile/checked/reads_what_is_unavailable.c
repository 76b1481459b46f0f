// breaks: what stands where a modality is unavailable does not change predictions
#include "fuseline_fusion.h"
#include <stdlib.h>
#define BEFORE_PREDICT static uint8_t ones[100000]; memset(ones, 1, sizeof ones); available = ones;
#include "../rule.h"
