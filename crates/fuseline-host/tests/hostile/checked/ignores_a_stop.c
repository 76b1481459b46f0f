// breaks: a stop is obeyed
#include "fuseline_fusion.h"
#include <stdlib.h>
#include <time.h>
#define BEFORE_FIT if (batch->rows > 1000) { struct timespec pause = {6, 0}; nanosleep(&pause, NULL); }
#include "../rule.h"
