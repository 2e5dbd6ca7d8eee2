// Prints its environment, each entry followed by a NUL.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main() {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    fwrite(*entry, 1, strlen(*entry) + 1, stdout);
  }
}
