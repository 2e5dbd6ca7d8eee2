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

// How `asyncproc run` runs a command. Plain fields.
struct RunSettings {
  ChildLimits limits;
  PrintOptions print;
  // The tool's own stdin is fed to it; else it has what Command::in says.
  bool pump_stdin = false;
  // It is in the tool's own process group: the terminal signals it, too.
  bool in_our_group = false;
  std::string ready_line;  // RE2.
  std::string then;        // For /bin/sh, once it is ready.
  bool explain = false;
  // Not 124, but the status of a command whose time was up.
  bool preserve_status = false;
  // The command writes to the tool's own stdout and stderr.
  bool keep_output = false;
};

// One command of `asyncproc run`, from its start to its end, on the thread that
// calls Run.
//
// Thread safety: OnSignal may be called by any thread, at any time.
// Ownership: settings, console, orphans and foreground outlive it. Its
// destructor waits until all is printed; when that may never be (see stuck), do
// not destroy it.
class RunJob {
 public:
  // `foreground`: lends the terminal to the command; may be null.
  RunJob(Command command, std::string host, const RunSettings& settings,
         Console* console, Orphans* orphans, Foreground* foreground);
  ~RunJob();

  // Blocks until it has ended and all is printed, or is given up.
  RunReport Run();

  // Passes it on, or ends the command by it.
  void OnSignal(const ReceivedSignal& signal) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether it was ended by us, so that nothing of it may stay.
  bool was_ended() const { return was_ended_; }
  // Whether somebody who does not read keeps something from being printed.
  bool stuck() const { return stuck_; }

 private:
  // A process and what prints it.
  struct Running {
    explicit Running(Orphans* orphans) : orphans_(orphans) {}
    ~Running() {
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
  enum class Why { kEnded, kTimeout, kIdle, kSignal, kThen };

  absl::Status Start(Command command, const PrintOptions& options,
                     Running* running);
  Why Supervise();
  absl::Duration IdleTime();
  void End(Why why, RunReport* report);
  void Finish(RunReport* report);
  void FinishThen(RunReport* report);
  void Settle(Running* running);
  void OnLine(absl::string_view written);
  void StartThen(absl::string_view line,
                 const std::vector<std::string>& groups);
  void RunThen();
  int ExitCode(Why why, RunReport* report);
  Escalation EscalationFor(Why why) const ABSL_LOCKS_EXCLUDED(mu_);
  void Explain(absl::string_view what) const;
  void StopWithCommand();
  bool IsThenRunning() const ABSL_LOCKS_EXCLUDED(mu_);

  const Command command_;
  const std::string host_;
  const RunSettings& settings_;
  Console* const console_;
  Orphans* const orphans_;
  Foreground* const foreground_;
  const std::unique_ptr<RE2> ready_pattern_;  // May be null.

  // Wakes Run: a signal has come, or --then has ended.
  const CancellationToken wake_;

  // Of the thread that calls Run.
  Running main_;
  std::unique_ptr<StdinPump> pump_;
  absl::Time start_;
  uint64_t seen_bytes_ = 0;  // For IdleTime.
  absl::Time last_output_;
  bool was_ended_ = false;
  bool server_ended_ = false;  // While --then ran.
  bool hurry_ = false;         // Not by --then, but by a limit or a signal.
  bool stuck_ = false;

  mutable absl::Mutex mu_;
  // Null before the start; then not changed until the end.
  Process* process_ ABSL_GUARDED_BY(mu_) = nullptr;
  Process* then_process_ ABSL_GUARDED_BY(mu_) = nullptr;
  int asked_by_ ABSL_GUARDED_BY(mu_) = 0;  // The signal that is to end it.
  bool asked_twice_ ABSL_GUARDED_BY(mu_) = false;
  bool then_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool no_then_ ABSL_GUARDED_BY(mu_) = false;  // It is too late to start it.
  std::optional<absl::Duration> ready_after_ ABSL_GUARDED_BY(mu_);
  std::string ready_line_ ABSL_GUARDED_BY(mu_);

  // Of the thread of --then, once it runs.
  Command then_command_;
  int then_code_ = 0;
  Running then_;
  Thread then_thread_;  // Started under mu_.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_RUN_JOB_H_
