// breaks: values that no host should send
#include "fuseline_fusion.h"
#include <stdlib.h>
#define BEFORE_PREDICT if (batch->rows > 0 && evidence[0] != evidence[0]) abort();
#include "../rule.h"
