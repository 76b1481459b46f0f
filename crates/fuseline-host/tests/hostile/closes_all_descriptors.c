// expect: org.example.hostile failed to fit
#include <unistd.h>
#define BEFORE_FIT for (int fd = 0; fd < 256; fd++) close(fd);
#include "rule.h"
