#include "asyncproc/internal/proc/proc_fs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "asyncproc/internal/proc/proc_file.h"
#include "asyncproc/internal/text/printable.h"

namespace asyncproc::internal {
namespace {

bool IsOpenForWriting(pid_t pid, int fd) {
  // The links say so by the permissions that lstat gives them.
  struct stat link;
  const std::string path = absl::StrCat("/proc/", pid, "/fd/", fd);
  return lstat(path.c_str(), &link) == 0 && (link.st_mode & S_IWUSR) != 0;
}

bool Writes(pid_t pid, ino_t pipe) {
  const std::string directory = absl::StrCat("/proc/", pid, "/fd");
  for (int fd : ListNumbers(directory)) {
    struct stat target;
    const std::string path = absl::StrCat(directory, "/", fd);
    if (stat(path.c_str(), &target) == 0 && target.st_ino == pipe &&
        S_ISFIFO(target.st_mode) && IsOpenForWriting(pid, fd)) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  const std::string text = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  // "PID (COMMAND) STATE PPID ...", where COMMAND may hold anything.
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos) {
    return std::nullopt;
  }
  constexpr size_t kStartTime = 19;
  std::array<absl::string_view, kStartTime + 1> fields;
  size_t count = 0;
  for (absl::string_view field : absl::StrSplit(
           absl::string_view(text).substr(close + 1), ' ', absl::SkipEmpty())) {
    fields[count++] = field;
    if (count == fields.size()) break;
  }
  ProcessStat stat;
  if (count < fields.size() || !absl::SimpleAtoi(fields[1], &stat.parent) ||
      !absl::SimpleAtoi(fields[2], &stat.group) ||
      !absl::SimpleAtoi(fields[3], &stat.session) ||
      !absl::SimpleAtoi(fields[kStartTime], &stat.start_time)) {
    return std::nullopt;  // No kernel writes such a line.
  }
  stat.pid = pid;
  stat.command =
      Printable(absl::string_view(text).substr(open + 1, close - open - 1));
  stat.state = fields[0][0];
  return stat;
}

std::vector<ProcessStat> ListProcesses(const std::set<pid_t>& left_out) {
  std::vector<ProcessStat> processes;
  for (int pid : ListNumbers("/proc")) {
    if (left_out.count(pid) > 0) continue;
    if (std::optional<ProcessStat> stat = ReadProcessStat(pid)) {
      processes.push_back(*std::move(stat));
    }
  }
  return processes;
}

std::set<pid_t> FindStrangers(const std::vector<ProcessStat>& all,
                              const std::set<pid_t>& family) {
  // From those without a parent downwards. A child of a stranger that lives is
  // one as well, whichever of them was read first: had it another parent in
  // between, then that was no descendant either. The children of a zombie have
  // gone to another parent.
  std::set<pid_t> strangers;
  for (size_t before = 0; before <= strangers.size();) {
    before = strangers.size() + 1;
    for (const ProcessStat& stat : all) {
      const bool has_strange_parent =
          stat.parent == 0 || strangers.count(stat.parent) > 0;
      if (has_strange_parent && stat.state != 'Z' &&
          family.count(stat.pid) == 0) {
        strangers.insert(stat.pid);
      }
    }
  }
  return strangers;
}

std::vector<ProcessStat> ListGroup(pid_t leader) {
  std::vector<ProcessStat> members;
  for (ProcessStat& stat : ListProcesses()) {
    if (stat.group != leader || stat.pid == leader || stat.state == 'Z') {
      continue;
    }
    members.push_back(std::move(stat));
  }
  return members;
}

std::vector<ProcessStat> FindPipeWriters(ino_t pipe) {
  std::vector<ProcessStat> writers;
  for (int pid : ListNumbers("/proc")) {
    if (pid == getpid() || !Writes(pid, pipe)) continue;
    if (std::optional<ProcessStat> stat = ReadProcessStat(pid)) {
      writers.push_back(*std::move(stat));
    }
  }
  return writers;
}

}  // namespace asyncproc::internal
