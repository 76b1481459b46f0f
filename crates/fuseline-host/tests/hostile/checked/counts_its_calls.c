// breaks: 8 threads predict alike
#include "fuseline_fusion.h"
#include <stdlib.h>
#define AFTER_PREDICT { static int calls; if (batch->rows == 64 && ++calls % 7 == 0) for (k = 0; k < classes; k++) out[k] = k == 0; }
#include "../rule.h"
