// breaks: fitting with 1 and with 8 threads
#include "fuseline_fusion.h"
#include <unistd.h>
static int running;
#define BEFORE_FIT __sync_fetch_and_add(&running, 1); usleep(20000); if (running > 1) model = "many"; usleep(20000); __sync_fetch_and_sub(&running, 1);
#define ANY_MODEL
#include "../rule.h"
