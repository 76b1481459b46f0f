// breaks: fitting twice gives the same bytes
#include "fuseline_fusion.h"
#include <stdlib.h>
#define BEFORE_FIT { const void *where = &sink; sink->write(sink, (const uint8_t *)&where, sizeof where); }
#define ANY_MODEL
#include "../rule.h"
