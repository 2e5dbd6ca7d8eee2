// Starts one process after the other, each in a session of its own; prints
// "ready" when there are a hundred. All run until they are killed.
#include <stdio.h>
#include <unistd.h>

int main() {
  // Not more than a machine can bear, if nobody ends this.
  for (int i = 0; i < 5000; ++i) {
    if (i == 100) {
      puts("ready");
      fflush(stdout);
    }
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
      setsid();
      for (;;) pause();
    }
  }
  for (;;) pause();
}
