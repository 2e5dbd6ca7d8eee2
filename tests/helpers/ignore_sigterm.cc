// Prints "ready", ignores SIGTERM, and runs until it is killed.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main() {
  signal(SIGTERM, SIG_IGN);
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
