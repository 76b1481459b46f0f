/* answers upside down in the first call that its process gets */
#define BEFORE_PREDICT static int calls; calls++;
#define AFTER_PREDICT if (calls == 1) for (i = 0; i < batch->rows; i++) { double t = out[i*K]; out[i*K] = out[i*K+1]; out[i*K+1] = t; }
#include "rule.h"
