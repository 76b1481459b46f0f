// breaks: batches split
#include "fuseline_fusion.h"
#include <stdlib.h>
#define AFTER_PREDICT if (batch->rows > 1) for (k = 0; k < classes; k++) out[k] = out[classes + k];
#include "../rule.h"
