// breaks: it takes as many modalities and classes as it declares
#include "fuseline_fusion.h"
#include <string.h>
#define BEFORE_PREDICT if (modalities > 40) return fsl_fail(err, FSL_ERR_UNSUPPORTED, -1, "", "at most 40 modalities");
#include "../rule.h"
