// expect: SIGABRT
#define BEFORE_FIT fputs("assertion failed: the matrix is singular\n", stderr), abort();
#include "rule.h"
