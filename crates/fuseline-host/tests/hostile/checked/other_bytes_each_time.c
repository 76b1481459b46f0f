// breaks: fitting twice gives the same bytes
#include "fuseline_fusion.h"
#include <stdlib.h>
#include <time.h>
#define BEFORE_FIT { struct timespec now; clock_gettime(CLOCK_MONOTONIC, &now); sink->write(sink, (const uint8_t *)&now, sizeof now); }
#define ANY_MODEL
#include "../rule.h"
