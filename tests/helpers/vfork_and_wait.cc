// Waits in vfork for a child that neither calls exec nor ends before its
// parent. Makes the system call itself, because tsan turns vfork into a fork,
// which does not wait.

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main() {
  if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, nullptr, nullptr, nullptr,
              nullptr) == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
}
