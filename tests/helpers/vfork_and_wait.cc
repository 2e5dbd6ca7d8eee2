// Waits in vfork, for a child that neither executes a program nor ends before
// its parent does.

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int main() {
  if (vfork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
}
