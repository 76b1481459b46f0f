// expect: failed to fit: its process was killed by SIGABRT (it aborted, as after a failed allocation or assertion; it may use 512 MiB of memory: `limits.memory`, by default)
#define BEFORE_FIT for (;;) { char *more = malloc(1 << 24); if (more == NULL) { fputs("out of memory\n", stderr); abort(); } more[0] = 1; }
#include "rule.h"
