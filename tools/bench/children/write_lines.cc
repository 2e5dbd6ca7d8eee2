// Writes as many lines as its first argument says, each of 80 bytes with its
// end, by the block, as stdio does; and then its second argument.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  constexpr size_t kBlock = 128 * 1024;
  // Of blocks and of lines a whole number.
  static char buffer[kBlock * 5];
  for (size_t i = 0; i < sizeof(buffer); ++i) {
    buffer[i] = i % 80 == 79 ? '\n' : static_cast<char>('0' + i % 80);
  }
  size_t place = 0;
  for (long long left = atoll(argv[1]) * 80; left > 0;) {
    const size_t size = left < static_cast<long long>(kBlock)
                            ? static_cast<size_t>(left)
                            : kBlock;
    const size_t rest = sizeof(buffer) - place;
    const ssize_t count = write(1, buffer + place, size < rest ? size : rest);
    if (count < 0) return 1;
    left -= count;
    place = (place + static_cast<size_t>(count)) % sizeof(buffer);
  }
  if (argc > 2 && write(1, argv[2], strlen(argv[2])) < 0) return 1;
}
