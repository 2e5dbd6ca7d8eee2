// Writes what it reads, as cat does.
#include <unistd.h>

int main() {
  static char buffer[128 * 1024];
  ssize_t size;
  while ((size = read(0, buffer, sizeof(buffer))) > 0) {
    for (ssize_t done = 0; done < size;) {
      const ssize_t count = write(1, buffer + done, size - done);
      if (count < 0) return 1;
      done += count;
    }
  }
}
