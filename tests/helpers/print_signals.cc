// Prints the lines SigBlk, SigIgn and SigCgt of its /proc/self/status.
#include <stdio.h>
#include <string.h>

int main() {
  FILE* status = fopen("/proc/self/status", "r");
  if (status == nullptr) return 1;
  char line[256];
  while (fgets(line, sizeof(line), status) != nullptr) {
    if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0 ||
        strncmp(line, "SigCgt:", 7) == 0) {
      fputs(line, stdout);
    }
  }
}
