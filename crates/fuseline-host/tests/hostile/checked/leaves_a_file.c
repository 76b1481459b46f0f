// breaks: it writes nothing to standard output, and leaves no files
#include "fuseline_fusion.h"
#include <stdio.h>
#define BEFORE_FIT { FILE *file = fopen("left-behind.txt", "w"); if (file != NULL) { fputs("x", file); fclose(file); } }
#include "../rule.h"
