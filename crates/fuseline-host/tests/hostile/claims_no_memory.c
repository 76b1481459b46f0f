// expect: out of memory
#define BEFORE_FIT return fsl_fail(err, FSL_ERR_OUT_OF_MEMORY, -1, "", "the workspace does not fit");
#include "rule.h"
