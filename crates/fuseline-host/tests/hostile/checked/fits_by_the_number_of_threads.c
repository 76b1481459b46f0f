// breaks: fitting with 1 and with 8 threads
#define MODEL (the_host->max_threads > 1 ? "many" : "mean")
#define ANY_MODEL
#include "../rule.h"
