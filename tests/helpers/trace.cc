// trace PID: attaches to the process as its debugger, stops it, and prints
// "stopped". Then ignores the process, even its end, until stdin is closed.

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const pid_t pid = static_cast<pid_t>(std::atoi(argv[1]));
  if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0 ||
      ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0 ||
      waitpid(pid, nullptr, __WALL) != pid) {
    perror("trace");
    return 1;
  }
  std::puts("stopped");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
