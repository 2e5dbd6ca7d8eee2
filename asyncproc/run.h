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

// What a child said on one stream: bytes in one piece that nobody changes, in
// the very memory that they were read into. It is used as the string_view that
// it converts to; `std::string(result.out)` makes a copy.
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
  absl::Cord bytes_;  // In one piece.
};

// Called with each piece of output as it arrives; an error ends the run. What
// it throws comes out of Run, which has killed and reaped the child then.
using OutputSink = std::function<absl::Status(absl::string_view)>;

struct RunOptions {
  // All that the child gets to read, and then the end of its input. Nothing:
  // if stdin is a pipe, it is at its end from the start; "" is the same.
  // A child that does not read it, or not all, is no error: see
  // RunResult::unread_input.
  std::optional<std::string> input;

  // How long the child may run. Zero or less: it is not started at all.
  absl::Duration timeout = absl::InfiniteDuration();

  // How long it may say nothing, on either stream, while it runs. Positive.
  absl::Duration idle_timeout = absl::InfiniteDuration();

  // Whether it is an error if the child fails: exits with anything but 0, or
  // is killed by a signal.
  bool check = false;

  // How the child is ended when its time is up. By default its descendants
  // too: the timeout of a shell's is meant for what the shell runs.
  Escalation escalation = StandardForTree();

  // See the output live, while it is being captured all the same: called on
  // the calling thread, in order, nothing twice and nothing left out, whatever
  // Command::output_buffer keeps. While one runs, nothing else is read or
  // written and no limit is looked at.
  OutputSink on_out;
  OutputSink on_err;

  // Escalation::Standard() for TerminationScope::kTree.
  static Escalation StandardForTree();
};

struct RunResult {
  // ExitStatus::output_complete is false when a process that the child left
  // behind still has its output open: that was waited for no longer than
  // Command::drain_grace says.
  ExitStatus status = ExitStatus::Exited(0);
  pid_t pid = 0;       // The child's; another process may have it by now.
  CapturedOutput out;  // Empty where the stream is not a pipe.
  CapturedOutput err;
  uint64_t truncated = 0;  // Bytes of both that Command::output_buffer dropped.
  uint64_t unread_input = 0;  // Bytes of the input that never got to the pipe.
  ResourceUsage usage;        // As in `status`.
  absl::Duration elapsed;     // From the call until the output had settled.
};

// Runs `command` to its end: feeds it its input, collects what it says on both
// streams, and waits for it, all at once on the calling thread; so that neither
// the amount of input or output, nor their order, can make it hang.
//
//   asyncproc::RunOptions options;
//   options.input = "6 * 7\n";
//   options.timeout = absl::Seconds(10);
//   absl::StatusOr<asyncproc::RunResult> result =
//       asyncproc::Run({"bc", "-q"}, options);
//   if (!result.ok()) return result.status();
//   if (result->status.ok()) Use(result->out);   // "42\n"
//
// Command::output_buffer says how much of each stream is kept. It cannot be
// BlockChild: while Run runs, nobody could read. on_destroy and input_limit
// have no say here. When Run returns, the child has ended and been reaped; but
// for one that has become another user, whom the host may not kill, which is
// left to a thread that reaps it.
//
// Thread safety: may be called from any thread, from many at once.
// Blocking: until the child has ended; see RunOptions::timeout. It starts no
// thread. When a WithTimeout or CancellationScope of this thread ends the wait,
// the child and, as `escalation` says, its group or tree get SIGKILL at once. A
// child that has ended by then is left as it is, and so is what it left behind:
// Run returns what there is, with RunFailureReason::kInterrupted and, where its
// output is still open, an ExitStatus::output_complete that is false.
// Errors: as Process::Spawn, if the child cannot be started. kInvalidArgument,
// before it is, for what contradicts itself: input or a sink for a stream that
// is no pipe, a limit that is none, an escalation of no steps.
// kDeadlineExceeded when a limit ended it, also if it then exits with 0.
// kAborted when it fails and `check` is set. What a sink returned. kDataLoss as
// Process::Wait. kResourceExhausted also without memory for the input. All
// messages have the command, quoted for a shell, and the last lines of both
// streams; and all but those of a child that was never started have a
// RunFailure.
absl::StatusOr<RunResult> Run(Command command, const RunOptions& options = {});

// Why Run returned an error.
enum class RunFailureReason {
  kTimeout,      // RunOptions::timeout.
  kIdleTimeout,  // RunOptions::idle_timeout.
  kExit,         // It failed, and RunOptions::check is set.
  kInterrupted,  // By a WithTimeout or CancellationScope around it.
  kSink,         // on_out or on_err returned an error.
  kInput,        // A terminal does not take such input (see Terminal), or there
                 // is no memory for it.
  kStatusLost,   // Somebody else has taken its status: result.status is void.
};

std::ostream& operator<<(std::ostream& out, RunFailureReason reason);

// What the status of a run that failed tells beyond its code and message, with
// all that the child said until then:
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
  absl::Duration limit;  // The one that ended it; else zero.
  RunResult result;      // As it would have been returned.
};

// Nothing when `status` is not that of a run. The output is shared with
// `status`, not copied.
std::optional<RunFailure> GetRunFailure(const absl::Status& status);

// What `command` says on stdout. Errors: as Run with `check`.
//
//   auto kernel = asyncproc::CheckOutput({"uname", "-r"});  // "6.1.0-18\n"
absl::StatusOr<std::string> CheckOutput(Command command);

// What it says on stdout and stderr, in the order in which it is written: both
// are the same pipe. Errors: as Run with `check`.
absl::StatusOr<std::string> CombinedOutput(Command command);

// Only whether it succeeds. Errors: as Run with `check`.
absl::Status Check(Command command);

}  // namespace asyncproc

#endif  // ASYNCPROC_RUN_H_
