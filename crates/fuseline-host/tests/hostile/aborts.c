// expect: failed to fit: its process was killed by SIGABRT (it aborted, as after a failed allocation or assertion; it may use 512 MiB of memory: `limits.memory`, by default)
#define BEFORE_FIT fputs("assertion failed: the matrix is singular\n", stderr), abort();
#include "rule.h"
