// breaks: rows without any modality
#include "fuseline_fusion.h"
#include <stdlib.h>
#define AFTER_PREDICT for (i = 0; i < batch->rows; i++) { int any = 0; for (m = 0; m < modalities; m++) any |= available[i * modalities + m]; if (!any) out[i * classes] /= 0.0 * out[i * classes]; }
#include "../rule.h"
