// breaks: fitting with 1 and with 8 threads
#include "fuseline_fusion.h"
static const fsl_batch *kept;
#define BEFORE_FIT { uint64_t address = (uint64_t)(uintptr_t)(kept != NULL ? kept->array : NULL); kept = batch; sink->write(sink, (const uint8_t *)&address, 8); }
#define ANY_MODEL
#include "../rule.h"
