// hold_pipe [SECONDS [FDS]]: leaves a grandchild behind, and prints its pid.
//
// The grandchild keeps the descriptors in FDS ("12"; of 0, 1 and 2) open, and
// no others. It sleeps for SECONDS, or until it is killed if SECONDS is 0 or
// missing. After the grandchild is set up, the parent prints its pid and exits
// with 0.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

[[noreturn]] static void Hold(const char* fds, unsigned seconds, int ready) {
  for (int fd = 0; fd <= 2; ++fd) {
    if (strchr(fds, '0' + fd) == nullptr) close(fd);
  }
  close(ready);
  if (seconds > 0) {
    sleep(seconds);
    _exit(0);
  }
  for (;;) pause();
}

int main(int argc, char** argv) {
  const unsigned seconds = argc > 1 ? atoi(argv[1]) : 0;
  const char* fds = argc > 2 ? argv[2] : "12";
  int ready[2];
  if (pipe(ready) != 0) return 1;
  const pid_t grandchild = fork();
  if (grandchild < 0) return 1;
  if (grandchild == 0) {
    close(ready[0]);
    Hold(fds, seconds, ready[1]);
  }
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) != 0) return 1;
  printf("%d\n", static_cast<int>(grandchild));
}
