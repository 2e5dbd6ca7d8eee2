// dribble TEXT: writes one byte at a time, a millisecond apart.
#include <stdio.h>
#include <time.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const timespec pause = {0, 1000000};
  for (const char* c = argv[1]; *c != '\0'; ++c) {
    putchar(*c);
    fflush(stdout);
    nanosleep(&pause, nullptr);
  }
}
