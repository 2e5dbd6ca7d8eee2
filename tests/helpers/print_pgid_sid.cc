// Prints its pid, its parent's, its process group and its session, on a line.
#include <stdio.h>
#include <unistd.h>

int main() {
  printf("%d %d %d %d\n", getpid(), getppid(), getpgrp(), getsid(0));
}
