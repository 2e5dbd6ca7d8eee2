// Closes its stdin and prints "closed"; at SIGUSR1, prints "ok" and exits with
// 3.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  close(STDIN_FILENO);
  puts("closed");
  fflush(stdout);
  int received;
  sigwait(&set, &received);
  puts("ok");
  return 3;
}
