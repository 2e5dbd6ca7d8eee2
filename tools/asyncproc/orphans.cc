#include "tools/asyncproc/orphans.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os.h"

namespace asyncproc::cli {

namespace {

using internal::MonotonicNow;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// All children of this process, by whichever thread.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  const std::unique_ptr<DIR, int (*)(DIR*)> tasks(opendir("/proc/self/task"),
                                                  closedir);
  if (tasks == nullptr) return children;
  while (const dirent* const task = readdir(tasks.get())) {
    if (task->d_name[0] == '.') continue;
    std::ifstream list(
        absl::StrCat("/proc/self/task/", task->d_name, "/children"));
    for (pid_t pid; list >> pid;) children.push_back(pid);
  }
  return children;
}

}  // namespace

void AdoptOrphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

std::vector<Survivor> EndOrphans(absl::Duration patience) {
  const absl::Time start = MonotonicNow();
  const absl::Time hard = start + absl::Seconds(1);
  bool asked = false;
  while (true) {
    std::vector<Survivor> left;
    for (pid_t pid : Children()) {
      // Nobody else reaps them, so the number stays theirs until this does.
      if (waitpid(pid, nullptr, WNOHANG) != 0) continue;
      left.push_back(
          {pid, std::string(absl::StripSuffix(
                    ReadFile(absl::StrCat("/proc/", pid, "/comm")), "\n"))});
    }
    if (left.empty() || MonotonicNow() > start + patience) return left;
    const bool kill_now = MonotonicNow() > hard;
    if (!asked || kill_now) {
      for (const Survivor& orphan : left) {
        kill(orphan.pid, kill_now ? SIGKILL : SIGTERM);
        if (!kill_now) kill(orphan.pid, SIGCONT);
      }
    }
    asked = true;
    absl::SleepFor(absl::Milliseconds(10));
  }
}

}  // namespace asyncproc::cli
