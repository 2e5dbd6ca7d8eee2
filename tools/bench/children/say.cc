// Says its arguments, a line each.
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const size_t size = strlen(argv[i]);
    argv[i][size] = '\n';
    if (write(1, argv[i], size + 1) < 0) return 1;
  }
}
