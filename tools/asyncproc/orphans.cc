#include "tools/asyncproc/orphans.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_file.h"

namespace asyncproc::cli {

namespace {

using internal::MonotonicNow;
using internal::ReadFile;

// All children of this process, by whichever thread.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  for (int task : internal::ListNumbers("/proc/self/task")) {
    const std::string list =
        ReadFile(absl::StrCat("/proc/self/task/", task, "/children"));
    for (absl::string_view name : absl::StrSplit(list, ' ')) {
      pid_t pid;
      if (absl::SimpleAtoi(name, &pid)) children.push_back(pid);
    }
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
