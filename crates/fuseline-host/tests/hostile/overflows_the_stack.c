// expect: SIGSEGV
static int deeper(volatile int *depth) {
  volatile char room[65536];
  room[0] = (char)(*depth)++;
  return deeper(depth) + room[0];
}
#define BEFORE_FIT { volatile int depth = 0; deeper(&depth); }
#include "rule.h"
