// expect: failed to fit: out of memory: the workspace does not fit
#define BEFORE_FIT return fsl_fail(err, FSL_ERR_OUT_OF_MEMORY, -1, "", "the workspace does not fit");
#include "rule.h"
