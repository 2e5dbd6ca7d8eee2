// flood BYTES [FD]: writes that many bytes to FD (1); byte number i is i % 251.
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

// Not a divisor of any buffer's size, so a lost piece is noticed.
constexpr size_t kPeriod = 251;

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const size_t total = strtoull(argv[1], nullptr, 10);
  const int fd = argc > 2 ? atoi(argv[2]) : 1;
  static char pattern[kPeriod * 261];
  for (size_t i = 0; i < sizeof(pattern); ++i) {
    pattern[i] = static_cast<char>(i % kPeriod);
  }
  for (size_t done = 0; done < total;) {
    const size_t start = done % kPeriod;
    const size_t length = std::min(sizeof(pattern) - start, total - done);
    const ssize_t written = write(fd, pattern + start, length);
    if (written < 0) return 1;
    done += written;
  }
}
