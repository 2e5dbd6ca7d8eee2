#include "asyncproc/internal/terminate/child_inspector.h"

#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/internal/proc/blocked_call.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/text/printable.h"

namespace asyncproc::internal {
namespace {

using Kind = BlockedCall::Kind;

// The maximum depth (a child's child's child), and the maximum number of
// children of one process.
constexpr int kDeepest = 4;
constexpr size_t kMostChildren = 3;

// Whether `target`, the target of a descriptor, is the pipe or socket `inode`.
bool IsStream(absl::string_view target, ino_t inode) {
  return target == absl::StrCat("pipe:[", inode, "]") ||
         target == absl::StrCat("socket:[", inode, "]");
}

std::string NameOf(pid_t pid, absl::string_view command) {
  return absl::StrCat(command, " (pid ", pid, ")");
}

std::vector<PipeHolder> HoldersOf(ino_t inode) {
  std::vector<PipeHolder> holders;
  if (inode == 0) return holders;
  for (const ProcessStat& process : FindWriters(inode)) {
    holders.push_back({process.pid, process.command});
  }
  return holders;
}

std::string Names(const std::vector<PipeHolder>& holders) {
  return absl::StrJoin(
      holders, ", ", [](std::string* out, const PipeHolder& holder) {
        absl::StrAppend(out, NameOf(holder.pid, holder.command));
      });
}

// Examines one process: the child, or a descendant, which may share its
// streams.
class ChildInspector {
 public:
  ChildInspector(ChildProcess& child, pid_t pid, int depth)
      : child_(child), pid_(pid), depth_(depth) {
    found_.pid = pid;
  }

  Diagnosis Examine() {
    const std::optional<ProcessStat> stat = ReadProcessStat(pid_);
    // The process has just ended, or the host has no /proc.
    if (!stat.has_value()) {
      Say(Activity::kUnknown, "/proc does not show it");
      return std::move(found_);
    }
    found_.command = stat->command;
    found_.state = stat->state;
    found_.wait_channel = ReadWaitChannel(pid_);
    ExamineState();
    found_.silent = IsSilent();
    return std::move(found_);
  }

 private:
  void Say(Activity activity, std::string explanation) {
    found_.activity = activity;
    found_.explanation = std::move(explanation);
  }

  void ExamineState() {
    switch (found_.state) {
      case 'T':
        return Say(Activity::kStopped,
                   "it is stopped by a signal, and waits for SIGCONT");
      case 't':
        return Say(Activity::kTraced,
                   absl::StrCat("it is stopped by its debugger, pid ",
                                ReadTracer(pid_)));
      case 'Z':
        return ExamineZombie();
      case 'D':
        return Say(Activity::kStuck,
                   absl::StrCat("it waits in the kernel, in ", WaitChannel(),
                                ", where no signal reaches it"));
      default:
        return ExamineThreads();
    }
  }

  void ExamineZombie() {
    const size_t threads = ListThreads(pid_).size();
    if (const pid_t tracer = ReadTracer(pid_); tracer != 0) {
      Say(Activity::kZombie,
          absl::StrCat("it has ended, but its debugger, pid ", tracer,
                       ", has yet to let go of it"));
    } else if (threads > 1) {
      Say(Activity::kZombie, absl::StrCat("its main thread has ended, but ",
                                          threads - 1, " more run on"));
    } else {  // Just before the reap.
      Say(Activity::kZombie, "it has ended, and nobody has reaped it yet");
    }
  }

  // Reports a thread that waits for a stream of the child; otherwise, the first
  // thread.
  void ExamineThreads() {
    std::optional<BlockedCall> first;
    bool is_first = true;
    for (pid_t thread : ListThreads(pid_)) {
      const std::optional<BlockedCall> call = ReadBlockedCall(pid_, thread);
      if (call.has_value() && ExamineStreams(*call)) return;
      if (std::exchange(is_first, false)) first = call;
    }
    if (first.has_value()) return ExamineCall(*first);
    if (found_.state == 'R') return Say(Activity::kRunning, "it is running");
    // The system calls are not visible: the process belongs to another user or
    // is in a sandbox.
    Say(Activity::kWaiting, absl::StrCat("it waits in ", WaitChannel()));
  }

  // Whether the call waits for the process's own stdin, stdout or stderr.
  bool ExamineStreams(const BlockedCall& call) {
    for (int fd : call.fds) {
      const std::string target = DescriptorTarget(pid_, fd);
      if (call.kind == Kind::kRead &&
          (fd == STDIN_FILENO ||
           (!target.empty() &&
            target == DescriptorTarget(pid_, STDIN_FILENO)))) {
        ExamineStdin(target);
        return true;
      }
      if (call.kind != Kind::kWrite) continue;
      for (ChildProcess::Stream stream :
           {ChildProcess::kOut, ChildProcess::kErr}) {
        if (!IsStream(target, child_.output(stream).inode())) continue;
        ExamineOutput(stream);
        return true;
      }
    }
    return false;
  }

  void ExamineStdin(const std::string& target) {
    struct stat file;
    const std::string path = absl::StrCat("/proc/", pid_, "/fd/0");
    const bool closed_here = child_.input() != nullptr &&
                             child_.input()->fd() < 0 &&
                             absl::StartsWith(target, "pipe:");
    if (closed_here && stat(path.c_str(), &file) == 0) {
      found_.holders = HoldersOf(file.st_ino);
    }
    const std::string what = "it waits for input on its stdin";
    if (!found_.holders.empty()) {
      Say(Activity::kReadingStdin,
          absl::StrCat(what, ", which is closed here, but held open by ",
                       Names(found_.holders)));
    } else if (absl::StartsWith(target, "/")) {
      Say(Activity::kReadingStdin, absl::StrCat(what, ", ", Printable(target)));
    } else {
      Say(Activity::kReadingStdin, what);
    }
  }

  void ExamineOutput(ChildProcess::Stream stream) {
    const char* const name = stream == ChildProcess::kOut ? "stdout" : "stderr";
    const OutputBuffer& buffer = *child_.output(stream).buffer();
    if (buffer.HasRoom()) {
      // The host is about to read from it.
      return Say(Activity::kWritingOutput, absl::StrCat("it writes ", name));
    }
    Say(Activity::kWritingOutput,
        absl::StrCat("it is blocked, since its ", name,
                     " is a full pipe: ", buffer.stats().buffered,
                     " bytes, as many as may be kept, wait to be read here"));
  }

  void ExamineCall(const BlockedCall& call) {
    switch (call.kind) {
      case Kind::kChild:
        return ExamineChildren(call.child);
      case Kind::kRead:
        return Wait("for input", call);
      case Kind::kWrite:
        return Wait("to write", call);
      case Kind::kConnection:
        return Wait("for a connection", call);
      case Kind::kFileLock:
        return Wait("for the lock of a file", call);
      case Kind::kSleep:
        return Say(Activity::kWaiting, "it sleeps for a set time");
      case Kind::kLock:
        return Say(Activity::kWaiting, "it waits for a thread or lock");
      case Kind::kSignal:
        return Say(Activity::kWaiting, "it waits for a signal");
      case Kind::kOpen:
        return Say(Activity::kWaiting,
                   "it opens a file, perhaps a FIFO without another end");
      case Kind::kEvent:
        return Say(Activity::kWaiting, "it waits for events");
      case Kind::kOther:
        break;
    }
    Say(Activity::kWaiting, absl::StrCat("it waits in ", WaitChannel(),
                                         ", system call ", call.number));
  }

  void Wait(absl::string_view what, const BlockedCall& call) {
    const std::string where =
        absl::StrJoin(call.fds, ", ", [this](std::string* out, int fd) {
          absl::StrAppend(out, fd, " (", Printable(DescriptorTarget(pid_, fd)),
                          ")");
        });
    Say(Activity::kWaiting,
        absl::StrCat("it waits ", what, " on descriptor ", where));
  }

  void ExamineChildren(pid_t which) {
    const std::vector<ProcessStat> all =
        ListProcesses().value_or(std::vector<ProcessStat>());
    for (const ProcessStat& stat : all) {
      if (stat.parent != pid_ || (which != 0 && stat.pid != which)) continue;
      if (depth_ == kDeepest || found_.waits_for.size() == kMostChildren) break;
      found_.waits_for.push_back(
          ChildInspector(child_, stat.pid, depth_ + 1).Examine());
    }
    Say(Activity::kWaitingForChild,
        found_.waits_for.empty()
            ? "it waits for a child"
            : absl::StrCat(
                  "it waits for its child ",
                  absl::StrJoin(found_.waits_for, " or ",
                                [](std::string* out, const Diagnosis& child) {
                                  absl::StrAppend(
                                      out, NameOf(child.pid, child.command),
                                      ": ", child.explanation);
                                })));
  }

  bool IsSilent() const {
    switch (found_.activity) {
      case Activity::kRunning:
      case Activity::kReadingStdin:
      case Activity::kWaiting:
        break;
      default:
        return false;
    }
    const ino_t out = child_.output(ChildProcess::kOut).inode();
    return child_.output(ChildProcess::kOut).buffer()->stats().bytes == 0 &&
           child_.output(ChildProcess::kErr).buffer()->stats().bytes == 0 &&
           out != 0 && IsStream(DescriptorTarget(pid_, STDOUT_FILENO), out);
  }

  std::string WaitChannel() const {
    return found_.wait_channel.empty() ? "an unknown place"
                                       : found_.wait_channel;
  }

  ChildProcess& child_;
  const pid_t pid_;
  const int depth_;
  Diagnosis found_;
};

Diagnosis DiagnoseEnded(ChildProcess& child) {
  Diagnosis found;
  found.pid = child.reaper().pid();
  found.activity = Activity::kEnded;
  found.explanation = "it has ended";
  if (child.end().state() == ChildEnd::State::kDrained) return found;
  std::map<pid_t, PipeHolder> holders;  // One process may hold both.
  for (ChildProcess::Stream stream : {ChildProcess::kOut, ChildProcess::kErr}) {
    OutputReader& output = child.output(stream);
    if (output.buffer()->IsFinished()) continue;
    for (PipeHolder& holder : HoldersOf(output.inode())) {
      holders.emplace(holder.pid, std::move(holder));
    }
  }
  for (const auto& [pid, holder] : holders) found.holders.push_back(holder);
  if (holders.empty()) return found;
  found.activity = Activity::kOutputHeldOpen;
  absl::StrAppend(&found.explanation, ", but its output is held open by ",
                  Names(found.holders));
  return found;
}

}  // namespace

Diagnosis DiagnoseChild(ChildProcess& child) {
  Reaper& reaper = child.reaper();
  if (reaper.TryReap().has_value()) return DiagnoseEnded(child);
  Diagnosis found = ChildInspector(child, reaper.pid(), 1).Examine();
  // The pid has referred to the child throughout only if the child has not been
  // reaped.
  return reaper.TryReap().has_value() ? DiagnoseEnded(child) : found;
}

}  // namespace asyncproc::internal
