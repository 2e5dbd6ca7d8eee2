// Becomes a tree of as many processes as its argument says, each with two
// children at the most. Each says its pid, a line, and runs until something
// ends it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int size = atoi(argv[1]);
  int self = 0;
  for (int child = 1; child <= 2; ++child) {
    if (2 * self + child >= size) break;
    const pid_t pid = fork();
    if (pid < 0) return 1;
    if (pid == 0) {
      self = 2 * self + child;
      child = 0;
    }
  }
  char line[16];
  snprintf(line, sizeof(line), "%d\n", static_cast<int>(getpid()));
  if (write(1, line, strlen(line)) < 0) return 1;
  for (;;) pause();
}
