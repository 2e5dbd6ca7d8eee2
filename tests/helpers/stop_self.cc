// Says "ready", stops, and when it is continued says "resumed".
#include <signal.h>
#include <stdio.h>

int main() {
  puts("ready");
  fflush(stdout);
  raise(SIGSTOP);
  puts("resumed");
}
