// expect: failed to fit: it wrote to standard output: \"hello\"
#define BEFORE_FIT printf("hello\n");
#include "rule.h"
