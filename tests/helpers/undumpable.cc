// Makes its memory unreadable for unprivileged debuggers. Prints "ready", and
// runs until it is killed.
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main() {
  prctl(PR_SET_DUMPABLE, 0);
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
