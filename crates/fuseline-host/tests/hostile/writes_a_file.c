// expect: ok
/* The file must not be there afterwards. */
#define BEFORE_FIT { FILE *file = fopen("/tmp/fuseline-hostile-was-here", "w"); if (file != NULL) { fputs("x", file); fclose(file); } }
#include "rule.h"
