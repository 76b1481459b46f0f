// breaks: it takes as many modalities and classes as it declares
#include "fuseline_fusion.h"
#include <string.h>
#define BEFORE_PREDICT if (modalities * classes > 1000) return fsl_fail(err, FSL_ERR_UNSUPPORTED, -1, "", "at most 1000 numbers a row");
#include "../rule.h"
