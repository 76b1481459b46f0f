// breaks: quality changes predictions exactly
#include "fuseline_fusion.h"
#include <stdlib.h>
#define AFTER_PREDICT for (i = 0; i < batch->rows; i++) if (fsl_quality(batch)[i * modalities] > 0.5) { for (k = 0; k < classes; k++) out[i * classes + k] = k == 0; }
#include "../rule.h"
