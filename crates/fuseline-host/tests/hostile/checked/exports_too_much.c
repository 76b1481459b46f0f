// breaks: it exports nothing but
#include "fuseline_fusion.h"
FSL_EXPORT int malloc_stats_of_this_plugin(void) { return 0; }

#include "../rule.h"
