// expect: ok
#include <unistd.h>
/* In the sandbox fork fails; without it, the child is ended with its group. */
#define BEFORE_FIT if (fork() == 0) for (;;) pause();
#include "rule.h"
