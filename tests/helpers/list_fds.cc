// list_fds [MAX]: prints the open descriptors below MAX (4096) on a line.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  const int max = argc > 1 ? atoi(argv[1]) : 4096;
  // Opens no descriptor for the search, not even /proc.
  const char* separator = "";
  for (int fd = 0; fd < max; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    printf("%s%d", separator, fd);
    separator = " ";
  }
  puts("");
}
