// expect: killed by SIGABRT (it aborted, as after a failed allocation or assertion; it may use 512 MiB of memory)
#define BEFORE_FIT for (;;) { char *more = malloc(1 << 24); if (more == NULL) { fputs("out of memory\n", stderr); abort(); } memset(more, 1, 1 << 24); }
#include "rule.h"
