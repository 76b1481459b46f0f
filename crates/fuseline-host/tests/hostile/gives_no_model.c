// expect: failed to open a model: a defect of the plugin: open gave no model and no error
#define BEFORE_OPEN if (len > 0) return FSL_OK;
#include "rule.h"
