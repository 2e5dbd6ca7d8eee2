// flood_forever [FD]: writes lines of "y" to FD (1) until it is killed.
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const int fd = argc > 1 ? atoi(argv[1]) : 1;
  static char lines[65536];
  for (size_t i = 0; i < sizeof(lines); ++i) lines[i] = i % 2 == 0 ? 'y' : '\n';
  size_t start = 0;
  for (;;) {
    const ssize_t written = write(fd, lines + start, sizeof(lines) - start);
    if (written < 0) return 1;
    start = (start + written) % 2;
  }
}
