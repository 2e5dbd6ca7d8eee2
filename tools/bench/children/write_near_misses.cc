// Writes as many bytes as its first argument says, all of them beginnings of
// its second, and then that one whole.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const size_t marker = strlen(argv[2]);
  if (marker < 2) return 2;
  static char buffer[128 * 1024];
  for (size_t i = 0; i < sizeof(buffer); ++i) {
    buffer[i] = argv[2][i % (marker - 1)];
  }
  for (long long left = atoll(argv[1]); left > 0;) {
    const size_t size = left < static_cast<long long>(sizeof(buffer))
                            ? static_cast<size_t>(left)
                            : sizeof(buffer);
    const ssize_t count = write(1, buffer, size);
    if (count < 0) return 1;
    left -= count;
  }
  if (write(1, argv[2], marker) < 0) return 1;
}
