// expect: failed to fit: its process was killed by SIGSEGV (invalid memory access)
static int deeper(volatile int *depth) {
  volatile char room[65536];
  room[0] = (char)(*depth)++;
  return deeper(depth) + room[0];
}
#define BEFORE_FIT { volatile int depth = 0; deeper(&depth); }
#include "rule.h"
