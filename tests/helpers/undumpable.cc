// Lets nobody look into its memory who may not debug any process; says "ready",
// and runs until something else ends it.
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main() {
  prctl(PR_SET_DUMPABLE, 0);
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
