// expect: ok
#include <sys/socket.h>
#define BEFORE_FIT if (socket(AF_INET, SOCK_STREAM, 0) >= 0) abort();
#include "rule.h"
