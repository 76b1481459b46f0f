// expect: ok
#include <sys/resource.h>
#define BEFORE_FIT { struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY}; setrlimit(RLIMIT_FSIZE, &more); }
#include "rule.h"
