// Copies its stdin to its stdout, each line as soon as it is complete.
#include <stdio.h>
#include <stdlib.h>

int main() {
  char* line = nullptr;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, stdin)) > 0) {
    fwrite(line, 1, length, stdout);
    fflush(stdout);
  }
  free(line);
}
