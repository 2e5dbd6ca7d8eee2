// Says "ready", ignores SIGTERM, and runs until something else ends it.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main() {
  signal(SIGTERM, SIG_IGN);
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
