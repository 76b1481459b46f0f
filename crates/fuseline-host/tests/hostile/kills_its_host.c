// expect: ok
#include <signal.h>
#include <unistd.h>
/* In the sandbox, a signal to another process is refused. */
#define BEFORE_FIT kill(getppid(), SIGKILL);
#include "rule.h"
