/* Sends the bytes of its model to the host in place of an answer: to `open` where the first byte is 0, else to `predict`. */
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#define ANY_MODEL
#define BEFORE_OPEN                                    \
  held = malloc(len + 1), held_len = len;              \
  memcpy(held, bytes, len);                            \
  if (len > 0 && held[0] == 0) send_it();
#define BEFORE_PREDICT send_it();
#include "fuseline_fusion.h"
#include <stdlib.h>
#include <string.h>
static uint8_t *held;
static uint64_t held_len;
static void send_it(void) {
  struct stat s;
  uint64_t at = 1;
  int fd;
  for (fd = 3; fd < 64; fd++)
    if (fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode)) break;
  while (at < held_len) {
    ssize_t n = write(fd, held + at, held_len - at);
    if (n <= 0) break;
    at += n;
  }
  _exit(0);
}
#include "rule.h"
