// Writes as many bytes as its first argument says, and then its second.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  static char buffer[128 * 1024];
  memset(buffer, '.', sizeof(buffer));
  for (long long left = atoll(argv[1]); left > 0;) {
    const size_t size = left < static_cast<long long>(sizeof(buffer))
                            ? static_cast<size_t>(left)
                            : sizeof(buffer);
    const ssize_t count = write(1, buffer, size);
    if (count < 0) return 1;
    left -= count;
  }
  if (argc > 2 && write(1, argv[2], strlen(argv[2])) < 0) return 1;
}
