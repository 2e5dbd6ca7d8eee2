#ifndef ASYNCPROC_RUN_H_
#define ASYNCPROC_RUN_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/termination.h"

namespace asyncproc {

// The output of a child on one stream: immutable, contiguous bytes, in the
// memory into which they were read. It converts to a string_view and to a
// std::string, which is a copy, and compares as a string_view. Functions whose
// parameter is neither, such as absl::StrSplit, take view():
//
//   for (absl::string_view line :
//        absl::StrSplit(result->out.view(), '\n', absl::SkipEmpty())) {
//     Use(line);
//   }
//
// A value; copies share the bytes. Thread safety: as an int.
class CapturedOutput {
 public:
  CapturedOutput() = default;
  explicit CapturedOutput(absl::Cord bytes);

  // Valid as long as this object is there and not assigned to.
  absl::string_view view() const { return *bytes_.TryFlat(); }
  operator absl::string_view() const { return view(); }  // NOLINT
  // A copy.
  operator std::string() const { return std::string(view()); }  // NOLINT
  const absl::Cord& cord() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  friend bool operator==(const CapturedOutput& a, const CapturedOutput& b) {
    return a.view() == b.view();
  }
  friend bool operator==(const CapturedOutput& a, absl::string_view b) {
    return a.view() == b;
  }
  friend bool operator==(absl::string_view a, const CapturedOutput& b) {
    return a == b.view();
  }
  friend bool operator!=(const CapturedOutput& a, const CapturedOutput& b) {
    return a.view() != b.view();
  }
  friend bool operator!=(const CapturedOutput& a, absl::string_view b) {
    return a.view() != b;
  }
  friend bool operator!=(absl::string_view a, const CapturedOutput& b) {
    return a != b.view();
  }
  friend bool operator<(const CapturedOutput& a, const CapturedOutput& b) {
    return a.view() < b.view();
  }
  friend std::ostream& operator<<(std::ostream& out, const CapturedOutput& o) {
    return out << o.view();
  }
  // For absl::StrCat and absl::StrFormat.
  template <typename Sink>
  friend void AbslStringify(Sink& sink, const CapturedOutput& o) {
    sink.Append(o.view());
  }

 private:
  absl::Cord bytes_;  // Contiguous.
};

// Called with each piece of output as it arrives; an error ends the run. An
// exception leaves Run after Run has killed and reaped the child.
using OutputSink = std::function<absl::Status(absl::string_view)>;

struct RunOptions {
  // The whole input of the child, followed by end-of-file. Nothing: if stdin is
  // a pipe, it is at end-of-file from the start; "" is the same.
  // Unread input is not an error: see RunResult::unread_input.
  std::optional<std::string> input;

  // The time limit of the child. Zero or less: the child is not started at all.
  // Run returns later by the time that `escalation` takes: 2 s for a child that
  // ignores the end of its input and SIGTERM.
  absl::Duration timeout = absl::InfiniteDuration();

  // The longest silence of the child, on both streams, while it runs; the time
  // of a call of on_out or on_err does not count. Positive.
  absl::Duration idle_timeout = absl::InfiniteDuration();

  // Whether a failure of the child is an error: an exit status other than 0, or
  // death by a signal.
  bool check = false;

  // How the child is ended when its time is up. By default its descendants are
  // ended too: the timeout of a shell is meant for the commands that it runs.
  // Of those whose parent has ended, such as `(sleep 60 &)`, only the ones in a
  // group that the child leads are found: see TerminationScope::kTree.
  Escalation escalation = StandardForTree();

  // Receive the output live, while it is captured as well: called on the
  // calling thread, in order, with every byte exactly once, regardless of the
  // bound in Command::output_buffer. During a call, Run reads and writes
  // nothing and checks no limit.
  OutputSink on_out;
  OutputSink on_err;

  // Escalation::Standard() for TerminationScope::kTree.
  static Escalation StandardForTree();
};

struct RunResult {
  // ExitStatus::output_complete is false when a process that the child left
  // behind still has its output open. Run waits for the output of such a
  // process only as long as described at Command::drain_grace.
  ExitStatus status = ExitStatus::Exited(0);
  pid_t pid = 0;       // The child's; another process may have it by now.
  CapturedOutput out;  // Empty where the stream is not a pipe.
  CapturedOutput err;
  uint64_t truncated = 0;  // Bytes of both that Command::output_buffer dropped.
  uint64_t unread_input = 0;  // Bytes of the input not written to the pipe.
  ResourceUsage usage;        // As in `status`.
  absl::Duration elapsed;     // From the call until the output had settled.
};

// Runs `command` to its end: writes its input, collects its output on both
// streams, and waits for it, all interleaved on the calling thread; so that
// neither the amount of input or output, nor their order, can make it hang.
//
//   asyncproc::RunOptions options;
//   options.input = "6 * 7\n";
//   options.timeout = absl::Seconds(10);
//   absl::StatusOr<asyncproc::RunResult> result =
//       asyncproc::Run({"bc", "-q"}, options);
//   if (!result.ok()) return result.status();
//   if (result->status.ok()) Use(result->out);   // "42\n"
//
// Command::output_buffer bounds the kept bytes of each stream. It cannot be
// BlockChild: while Run runs, no caller could read. on_destroy and input_limit
// have no effect here. When Run returns, the child has ended and been reaped.
// The exception is a child that has changed to another user, which the host may
// not kill: a thread reaps that child later.
//
// In a test of GoogleTest, write asyncproc::Run even after `using namespace
// asyncproc`: the name Run alone is a method of testing::Test there.
//
// Thread safety: may be called from any thread, from many at once.
// Stack, pthread_cancel: as Process.
// Blocking: until the child has ended; see RunOptions::timeout. Run starts no
// thread, except for a child that it cannot kill. When a WithTimeout or
// CancellationScope of this thread ends the wait, the child and, as
// `escalation` says, its group or tree get SIGKILL at once. If the child has
// ended by then, Run kills nothing, not even the processes that it left behind:
// Run returns the output so far, with RunFailureReason::kInterrupted and, if
// the output is still open, an ExitStatus::output_complete that is false. A
// scope that has ended before the call keeps Run from starting the child.
// Errors: as Process::Spawn, if the child cannot be started. kInvalidArgument,
// before the start, for contradictory arguments: input or a sink for a stream
// that is not a pipe, an invalid limit, an escalation of no steps.
// kDeadlineExceeded when a limit ended the child, even if it then exits with 0.
// kAborted when the child fails and `check` is set. The error of a sink.
// kDataLoss as Process::Wait. kResourceExhausted also without memory for the
// input. All messages have the command, quoted for a shell, and the last lines
// of both streams. All errors have a RunFailure, except when the child was
// never started.
absl::StatusOr<RunResult> Run(Command command, const RunOptions& options = {});

// Why Run returned an error.
enum class RunFailureReason {
  kTimeout,      // RunOptions::timeout.
  kIdleTimeout,  // RunOptions::idle_timeout.
  kExit,         // The child failed, and RunOptions::check is set.
  kInterrupted,  // A surrounding WithTimeout or CancellationScope.
  kSink,         // on_out or on_err returned an error.
  kInput,        // A terminal does not take such input (see Terminal), or there
                 // is no memory for it.
  kStatusLost,   // Other code has taken the status: ignore result.status.
};

std::ostream& operator<<(std::ostream& out, RunFailureReason reason);

// Data of the status of a failed run, beyond its code and message, with all
// output of the child until the failure:
//
//   auto result = asyncproc::Run(command, options);
//   if (auto failure = asyncproc::GetRunFailure(result.status())) {
//     if (failure->reason == asyncproc::RunFailureReason::kTimeout) {
//       Show(failure->result.out);
//     }
//   }
struct RunFailure {
  RunFailureReason reason = RunFailureReason::kExit;
  std::string command;   // Quoted for a shell.
  absl::Duration limit;  // The limit that ended the run; else zero.
  RunResult result;      // As Run would have returned it.
};

// Returns nothing when `status` is not that of a run. The output is shared with
// `status`, not copied.
std::optional<RunFailure> GetRunFailure(const absl::Status& status);

// Runs `command`, and returns its stdout. Errors: as Run with `check`.
//
//   auto kernel = asyncproc::CheckOutput({"uname", "-r"});  // "6.1.0-18\n"
absl::StatusOr<std::string> CheckOutput(Command command);

// Runs `command`, and returns its stdout and stderr in the order of the writes:
// both are the same pipe. Errors: as Run with `check`.
absl::StatusOr<std::string> CombinedOutput(Command command);

// Runs `command`, and checks that it succeeds. Errors: as Run with `check`.
absl::Status Check(Command command);

}  // namespace asyncproc

#endif  // ASYNCPROC_RUN_H_
