// Prints "ready" and ignores TERM, INT, HUP and stdin: only SIGKILL ends it.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main() {
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
