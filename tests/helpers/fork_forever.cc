// Starts processes one after the other, each in a session of its own. Prints
// "ready" after a hundred of them. All run until they are killed.
#include <stdio.h>
#include <unistd.h>

int main() {
  // A limit that a machine survives if the processes are never killed.
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
