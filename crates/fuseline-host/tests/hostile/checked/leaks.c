// breaks: 200 times opening and closing
#include "fuseline_fusion.h"
#include <stdlib.h>
#define BEFORE_OPEN { volatile char *lost = malloc(64); lost[0] = 1; }
#include "../rule.h"
