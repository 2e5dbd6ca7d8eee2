// Prints "ready", stops, and after SIGCONT prints "resumed".
#include <signal.h>
#include <stdio.h>

int main() {
  puts("ready");
  fflush(stdout);
  raise(SIGSTOP);
  puts("resumed");
}
