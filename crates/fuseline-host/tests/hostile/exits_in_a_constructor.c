// expect: failed to load: its process exited with code 3 before it answered
#include <stdlib.h>
__attribute__((constructor)) static void on_load(void) { exit(3); }
#include "rule.h"
