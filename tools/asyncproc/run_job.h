#ifndef ASYNCPROC_TOOLS_ASYNCPROC_RUN_JOB_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_RUN_JOB_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"
#include "re2/re2.h"
#include "tools/asyncproc/console.h"
#include "tools/asyncproc/job_control.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/thread.h"
#include "tools/asyncproc/run_report.h"
#include "tools/asyncproc/signal_watcher.h"
#include "tools/asyncproc/stdin_pump.h"
#include "tools/asyncproc/stream_printer.h"

namespace asyncproc::cli {

// The settings of `asyncproc run` for one command.
struct RunSettings {
  ChildLimits limits;
  PrintOptions print;
  // The tool reads its own stdin and writes it to the command; else the command
  // has the stdin of Command::in.
  bool pump_stdin = false;
  // The command is in the tool's own process group: the terminal signals both.
  bool in_our_group = false;
  std::string ready_line;  // RE2.
  std::string then;        // For /bin/sh, once the command is ready.
  bool explain = false;
  // After a time limit, exits with the status of the command, not with 124.
  bool preserve_status = false;
  // The command writes to the tool's own stdout and stderr.
  bool keep_output = false;
};

// One command of `asyncproc run`, from its start to its end, on the thread that
// calls Run.
//
// Thread safety: any thread may call OnSignal at any time; the rest is for one
// thread.
// Ownership: settings, console, orphans and foreground outlive this object. The
// destructor waits until all output is printed, which may be never: if stuck()
// is true, do not destroy the object.
class RunJob {
 public:
  // `foreground`: the tool's terminal; may be null.
  RunJob(Command command, std::string host, const RunSettings& settings,
         Console* console, Orphans* orphans, Foreground* foreground);
  ~RunJob();

  // Blocks until the command has ended and its output is printed, or given up.
  RunReport Run();

  // Passes the signal on to the command, or ends the command by it.
  void OnSignal(const ReceivedSignal& signal) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether the tool ended the command, so that no process of it may stay.
  bool was_ended() const { return was_ended_; }
  // Whether output cannot be printed because its reader does not read.
  bool stuck() const { return stuck_; }

 private:
  // A process, and the printers of its output.
  struct PrintedProcess {
    explicit PrintedProcess(Orphans* orphans) : orphans_(orphans) {}
    ~PrintedProcess() {
      if (process == nullptr) return;
      const pid_t pid = process->pid();
      printers.clear();
      process.reset();
      orphans_->Ended(pid);
    }

    Orphans* const orphans_;
    std::unique_ptr<Process> process;
    std::vector<std::unique_ptr<StreamPrinter>> printers;
  };
  enum class Why { kEnded, kTimeout, kIdle, kSignal, kThen, kLostOutput };

  absl::Status Start(Command command, const PrintOptions& options,
                     PrintedProcess* printed);
  Why Supervise();
  absl::Duration IdleTime();
  void End(Why why, RunReport* report);
  void Finish(RunReport* report);
  void FinishThen(RunReport* report);
  void Settle(PrintedProcess* printed);
  void OnLine(absl::string_view written);
  void OnLostOutput() ABSL_LOCKS_EXCLUDED(mu_);
  void StartThen(absl::string_view line,
                 const std::vector<std::string>& groups);
  void RunThen();
  int ExitCode(Why why, RunReport* report);
  Escalation EscalationFor(Why why) const ABSL_LOCKS_EXCLUDED(mu_);
  // OnSignal for a command that runs.
  void Take(int signal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PassOn(Process* process, int signal) const;
  void Explain(absl::string_view what) const;
  bool FollowTerminal();
  void StopWithCommand();

  const Command command_;
  const std::string host_;
  const RunSettings& settings_;
  Console* const console_;
  Orphans* const orphans_;
  Foreground* const foreground_;
  const std::unique_ptr<RE2> ready_pattern_;  // May be null.

  // Wakes Run: a signal has come, --then has ended, or output was lost.
  const CancellationToken wake_;

  // For the thread that calls Run.
  PrintedProcess main_;
  std::unique_ptr<StdinPump> pump_;
  bool input_failed_ = false;  // The command has not been given all input.
  absl::Time start_;
  uint64_t seen_bytes_ = 0;  // For IdleTime.
  absl::Time last_output_;
  bool was_foreground_ = false;
  bool was_ended_ = false;
  bool hurry_ = false;  // A limit or a signal ended the command.
  bool stuck_ = false;

  mutable absl::Mutex mu_;
  // Null before the start, then constant until the end.
  Process* process_ ABSL_GUARDED_BY(mu_) = nullptr;
  Process* then_process_ ABSL_GUARDED_BY(mu_) = nullptr;
  // The signal that is to end the command.
  int asked_by_ ABSL_GUARDED_BY(mu_) = 0;
  bool asked_twice_ ABSL_GUARDED_BY(mu_) = false;
  // Output of the command's terminal could not be printed.
  bool lost_output_ ABSL_GUARDED_BY(mu_) = false;
  // The signals that came while the command, or --then, was being started.
  std::vector<int> early_ ABSL_GUARDED_BY(mu_);
  std::vector<int> then_early_ ABSL_GUARDED_BY(mu_);
  // The command is ready: --then is to run. It may be too late for that.
  bool then_wanted_ ABSL_GUARDED_BY(mu_) = false;
  bool then_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool then_in_time_ ABSL_GUARDED_BY(mu_) = false;  // Ended before End().
  // It is too late to start --then.
  bool no_then_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Duration> ready_after_ ABSL_GUARDED_BY(mu_);
  std::string ready_line_ ABSL_GUARDED_BY(mu_);

  // For the thread of --then, once it runs.
  Command then_command_;
  int then_code_ = 0;
  PrintedProcess then_;
  Thread then_thread_;  // Started under mu_.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_RUN_JOB_H_
