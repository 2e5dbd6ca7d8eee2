// close_stdout_and_wait [--stderr]: prints "a", closes its output, and exits
// with 5 when its stdin ends.
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (write(STDOUT_FILENO, "a\n", 2) != 2) return 1;
  close(STDOUT_FILENO);
  if (argc > 1 && strcmp(argv[1], "--stderr") == 0) close(STDERR_FILENO);
  // Waits for the end of stdin.
  char buffer[4096];
  while (read(STDIN_FILENO, buffer, sizeof(buffer)) > 0) {
  }
  return 5;
}
