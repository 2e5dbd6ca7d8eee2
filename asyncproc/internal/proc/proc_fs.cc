#include "asyncproc/internal/proc/proc_fs.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "asyncproc/internal/proc/proc_file.h"
#include "asyncproc/internal/text/printable.h"

namespace asyncproc::internal {
namespace {

bool IsOpenForWriting(const std::string& directory, int fd) {
  // The permissions of the link, as lstat gives them, show the access mode.
  struct stat link;
  const std::string path = absl::StrCat(directory, "/", fd);
  return lstat(path.c_str(), &link) == 0 && (link.st_mode & S_IWUSR) != 0;
}

bool WritesIn(const std::string& directory, const std::vector<int>& fds,
              ino_t inode) {
  for (int fd : fds) {
    struct stat target;
    const std::string path = absl::StrCat(directory, "/", fd);
    if (stat(path.c_str(), &target) == 0 && target.st_ino == inode &&
        (S_ISFIFO(target.st_mode) || S_ISSOCK(target.st_mode)) &&
        IsOpenForWriting(directory, fd)) {
      return true;
    }
  }
  return false;
}

bool Writes(pid_t pid, ino_t inode) {
  const std::string directory = absl::StrCat("/proc/", pid, "/fd");
  const auto fds = ListNumbers(directory);
  if (fds.ok() && !fds->empty()) return WritesIn(directory, *fds, inode);
  // A main thread that has ended has no descriptors, but the other threads of
  // its process still have them.
  for (pid_t thread : ListThreads(pid)) {
    const std::string of_thread =
        absl::StrCat("/proc/", pid, "/task/", thread, "/fd");
    const auto shared = ListNumbers(of_thread);
    if (shared.ok() && WritesIn(of_thread, *shared, inode)) return true;
  }
  return false;
}

// "PID (COMMAND) STATE PPID ...", where COMMAND may contain any characters.
std::optional<ProcessStat> Parse(pid_t pid, const std::string& text) {
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos) {
    return std::nullopt;
  }
  constexpr size_t kThreads = 17;
  constexpr size_t kStartTime = 19;
  std::array<absl::string_view, kStartTime + 1> fields;
  size_t count = 0;
  for (absl::string_view field : absl::StrSplit(
           absl::string_view(text).substr(close + 1), ' ', absl::SkipEmpty())) {
    fields[count++] = field;
    if (count == fields.size()) break;
  }
  ProcessStat stat;
  int terminal;
  if (count < fields.size() || !absl::SimpleAtoi(fields[1], &stat.parent) ||
      !absl::SimpleAtoi(fields[2], &stat.group) ||
      !absl::SimpleAtoi(fields[3], &stat.session) ||
      !absl::SimpleAtoi(fields[4], &terminal) ||
      !absl::SimpleAtoi(fields[kThreads], &stat.threads) ||
      !absl::SimpleAtoi(fields[kStartTime], &stat.start_time)) {
    return std::nullopt;
  }
  stat.pid = pid;
  stat.terminal = static_cast<unsigned>(terminal);
  stat.command =
      Printable(absl::string_view(text).substr(open + 1, close - open - 1));
  stat.state = fields[0][0];
  return stat;
}

// Does not call CheckProc.
absl::StatusOr<ProcessStat> LookUp(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/stat");
  absl::StatusOr<std::string> text = ReadProcFile(path);
  if (!text.ok()) return text.status();
  std::optional<ProcessStat> stat = Parse(pid, *text);
  if (stat.has_value()) return *std::move(stat);
  return absl::DataLossError(absl::StrCat("cannot understand ", path));
}

// Looks up every process whose number `wanted` accepts.
absl::StatusOr<std::vector<ProcessStat>> LookUpAll(
    absl::FunctionRef<bool(pid_t)> wanted) {
  if (absl::Status status = CheckProc(); !status.ok()) return status;
  absl::StatusOr<std::vector<int>> pids = ListNumbers("/proc");
  if (!pids.ok()) return pids.status();
  std::vector<ProcessStat> processes;
  for (int pid : *pids) {
    if (!wanted(pid)) continue;
    absl::StatusOr<ProcessStat> stat = LookUp(pid);
    if (stat.ok()) {
      processes.push_back(*std::move(stat));
    } else if (!absl::IsNotFound(stat.status()) &&
               // A process of another user, where /proc is mounted with
               // hidepid.
               !absl::IsPermissionDenied(stat.status())) {
      return stat.status();
    }
  }
  return processes;
}

// "/dev/tty" where that is no pseudoterminal.
std::string ControllingTerminal(pid_t pid) {
  constexpr unsigned kPseudoterminals = 136;  // Their major number.
  const std::optional<ProcessStat> stat = ReadProcessStat(pid);
  const unsigned device = stat.has_value() ? stat->terminal : 0;
  if ((device >> 8 & 0xff) != kPseudoterminals) return "/dev/tty";
  return absl::StrCat("/dev/pts/", (device & 0xff) | (device >> 12 & 0xfff00));
}

}  // namespace

absl::StatusOr<ProcessStat> LookUpProcess(pid_t pid) {
  if (absl::Status status = CheckProc(); !status.ok()) {
    // A missing /proc says nothing about the process.
    return absl::IsNotFound(status)
               ? absl::FailedPreconditionError(status.message())
               : status;
  }
  return LookUp(pid);
}

absl::StatusOr<ProcessStat> LookUpAgain(const ProcessStat& stat) {
  // Number and start time are those of our /proc, so no check of it is needed.
  absl::StatusOr<ProcessStat> now = LookUp(stat.pid);
  if (now.ok() && now->start_time == stat.start_time) return now;
  now = LookUpProcess(stat.pid);
  if (now.ok() && now->start_time != stat.start_time) {
    return absl::NotFoundError("the number is another process's");
  }
  return now;
}

std::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  absl::StatusOr<ProcessStat> stat = LookUpProcess(pid);
  if (!stat.ok()) return std::nullopt;
  return *std::move(stat);
}

absl::StatusOr<std::vector<ProcessStat>> ListProcesses(
    const std::set<pid_t>& left_out) {
  return LookUpAll([&left_out](pid_t pid) { return left_out.count(pid) == 0; });
}

std::vector<pid_t> ListThreads(pid_t pid) {
  std::vector<pid_t> threads = ListNumbers(absl::StrCat("/proc/", pid, "/task"))
                                   .value_or(std::vector<pid_t>());
  std::sort(threads.begin(), threads.end(), [pid](pid_t a, pid_t b) {
    return a != b && (a == pid || (b != pid && a < b));
  });
  return threads;
}

std::string DescriptorTarget(pid_t pid, int fd) {
  char target[PATH_MAX];
  const std::string link = absl::StrCat("/proc/", pid, "/fd/", fd);
  const ssize_t size = readlink(link.c_str(), target, sizeof(target));
  if (size < 0) return "";
  std::string path(target, static_cast<size_t>(size));
  return path == "/dev/tty" ? ControllingTerminal(pid) : path;
}

bool HasStopped(const ProcessStat& stat) {
  const auto is_stopped = [](char state) {
    return state == 'T' || state == 't' || state == 'Z' || state == 'X';
  };
  if (!is_stopped(stat.state)) return false;
  if (stat.threads <= 1) return true;
  for (pid_t thread : ListThreads(stat.pid)) {
    const std::optional<ProcessStat> now = Parse(
        thread,
        ReadFile(absl::StrCat("/proc/", stat.pid, "/task/", thread, "/stat")));
    if (now.has_value() && !is_stopped(now->state)) return false;
  }
  return true;
}

std::set<pid_t> FindStrangers(const std::vector<ProcessStat>& all,
                              const std::set<pid_t>& family) {
  // Starts at the processes without a parent. A child of a live stranger is
  // also a stranger, in whatever order the two were read: if it had another
  // parent in between, that parent was not a descendant either. The children of
  // a zombie have been reparented.
  std::set<pid_t> strangers;
  for (size_t before = 0; before <= strangers.size();) {
    before = strangers.size() + 1;
    for (const ProcessStat& stat : all) {
      const bool has_strange_parent =
          stat.parent == 0 || strangers.count(stat.parent) > 0;
      if (has_strange_parent && !stat.HasEnded() &&
          family.count(stat.pid) == 0) {
        strangers.insert(stat.pid);
      }
    }
  }
  return strangers;
}

absl::StatusOr<std::vector<ProcessStat>> ListGroup(pid_t leader) {
  // getpgid costs a tenth of reading a file in /proc. If a filter refuses the
  // call, the file is read.
  absl::StatusOr<std::vector<ProcessStat>> members =
      LookUpAll([leader](pid_t pid) {
        if (pid == leader) return false;
        const pid_t group = getpgid(pid);
        return group == leader || (group < 0 && errno != ESRCH);
      });
  if (!members.ok()) return members.status();
  members->erase(std::remove_if(members->begin(), members->end(),
                                [leader](const ProcessStat& stat) {
                                  return stat.group != leader ||
                                         stat.HasEnded();
                                }),
                 members->end());
  return members;
}

absl::StatusOr<std::vector<pid_t>> ListChildren() {
  if (absl::Status status = CheckProc(); !status.ok()) return status;
  std::vector<pid_t> children;
  bool has_lists = false;
  for (pid_t thread : ListThreads(getpid())) {
    const auto list =
        ReadProcFile(absl::StrCat("/proc/self/task/", thread, "/children"));
    if (absl::IsNotFound(list.status())) continue;
    if (!list.ok()) return list.status();
    has_lists = true;
    for (absl::string_view number : absl::StrSplit(*list, ' ')) {
      pid_t pid;
      if (absl::SimpleAtoi(number, &pid)) children.push_back(pid);
    }
  }
  if (has_lists) return children;
  // A kernel without CONFIG_PROC_CHILDREN, or no descriptor for the threads.
  absl::StatusOr<std::vector<ProcessStat>> all = ListProcesses();
  if (!all.ok()) return all.status();
  for (const ProcessStat& stat : *all) {
    if (stat.parent == getpid()) children.push_back(stat.pid);
  }
  return children;
}

std::vector<ProcessStat> FindWriters(ino_t inode) {
  std::vector<ProcessStat> writers;
  if (!CheckProc().ok()) return writers;
  const absl::StatusOr<std::vector<int>> pids = ListNumbers("/proc");
  if (!pids.ok()) return writers;
  for (int pid : *pids) {
    if (pid == getpid() || !Writes(pid, inode)) continue;
    if (absl::StatusOr<ProcessStat> stat = LookUp(pid); stat.ok()) {
      writers.push_back(*std::move(stat));
    }
  }
  return writers;
}

}  // namespace asyncproc::internal
