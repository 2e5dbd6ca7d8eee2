#include "tools/asyncproc/inherited.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <map>
#include <set>

#include "absl/strings/numbers.h"

namespace asyncproc::cli {
namespace {

struct Inherited {
  std::set<int> ignored_signals;
  std::map<int, int> descriptors;  // Each to its own number.
};

Inherited& Noted() {
  static auto& noted = *new Inherited;
  return noted;
}

std::set<int> IgnoredSignals() {
  std::set<int> ignored;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action;
    if (signal != SIGPIPE && signal != SIGCHLD &&
        sigaction(signal, nullptr, &action) == 0 &&
        action.sa_handler == SIG_IGN) {
      ignored.insert(signal);
    }
  }
  return ignored;
}

// None where /proc is not mounted.
std::map<int, int> Descriptors() {
  std::map<int, int> descriptors;
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return descriptors;
  while (const dirent* const entry = readdir(directory)) {
    int fd;
    if (!absl::SimpleAtoi(entry->d_name, &fd) || fd <= STDERR_FILENO) continue;
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) descriptors[fd] = fd;
  }
  closedir(directory);
  return descriptors;
}

}  // namespace

void NoteInherited() { Noted() = {IgnoredSignals(), Descriptors()}; }

void PassIgnoredSignals(Command* command) {
  const std::set<int>& ignored = Noted().ignored_signals;
  command->ignored_signals.insert(ignored.begin(), ignored.end());
}

void PassDescriptors(Command* command) {
  const std::map<int, int>& descriptors = Noted().descriptors;
  command->pass_fds.insert(descriptors.begin(), descriptors.end());
}

}  // namespace asyncproc::cli
