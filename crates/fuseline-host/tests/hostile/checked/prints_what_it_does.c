// breaks: it writes nothing to standard output, and leaves no files
#include "fuseline_fusion.h"
#include <stdio.h>
#define BEFORE_PREDICT printf("predicting\n");
#include "../rule.h"
