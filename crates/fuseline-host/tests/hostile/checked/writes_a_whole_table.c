// breaks: smaller structs of the host
#include "fuseline_fusion.h"
#include <stdlib.h>
#define BEFORE_INIT out->get_extension = NULL, out->predict = NULL;
#include "../rule.h"
