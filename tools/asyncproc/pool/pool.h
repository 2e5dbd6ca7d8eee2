#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/termination.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/pool/bell.h"
#include "tools/asyncproc/pool/command_template.h"
#include "tools/asyncproc/pool/halt_policy.h"
#include "tools/asyncproc/pool/job_run.h"
#include "tools/asyncproc/pool/job_source.h"
#include "tools/asyncproc/pool/joblog.h"
#include "tools/asyncproc/pool/output_queue.h"
#include "tools/asyncproc/pool/output_store.h"
#include "tools/asyncproc/pool/panel.h"
#include "tools/asyncproc/pool/printer.h"
#include "tools/asyncproc/pool/results_directory.h"
#include "tools/asyncproc/pool/slots.h"
#include "tools/asyncproc/pool/tally.h"
#include "tools/asyncproc/pool/trace_writer.h"

namespace asyncproc::cli {

struct PoolOptions {
  int slots = 1;
  CommandTemplate command;
  ChildLimits limits;
  int tries = 1;         // At most, of a job that fails.
  absl::Duration delay;  // Between two starts, at least.
  HaltPolicy halt;
  OutputQueue::Options output;
  bool tag = false;         // Each line of output begins with the job's values.
  bool one_stream = false;  // Jobs have one pipe for stdout and stderr.
  enum class Progress { kPanel, kLines, kNone };
  Progress progress = Progress::kNone;
  // Runs the jobs again that failed according to the log; jobs that succeeded
  // are always left out.
  bool retry_failed = false;
  OutputStore::Options store;
  PrinterOptions printer;
  // The command for a command line, in a slot from 1; by default /bin/sh's.
  std::function<Command(const std::string& line, int slot)> make_command;
  std::vector<std::string> hosts;  // See Slots. Empty: this machine.
  // Exit status 255 may mean that ssh has not reached the host.
  bool over_ssh = false;
};

// The files that the pool writes, if any.
struct PoolFiles {
  std::optional<JobLog> log;
  std::optional<ResultsDirectory> results;
  std::optional<TraceWriter> trace;
};

// Runs the jobs of a source, several at a time, on one thread.
//
//   Pool pool(options, std::move(files), &orphans);
//   pool.SetSource(std::move(source));
//   int code = pool.Run();
//
// Each job has a session of its own: keys that are typed at the terminal do not
// reach it. A job that the pool ends is ended with all that it has started.
//
// Thread safety: any thread may call Signal and Wake; the rest is for one.
class Pool : private ProcessPoller<int> {
 public:
  Pool(PoolOptions options, PoolFiles files, Orphans* orphans);

  void SetSource(std::unique_ptr<JobSource> source) {
    source_ = std::move(source);
  }

  // Blocks until all jobs have ended and all output is printed. Returns the
  // exit status of the tool: the number of failed jobs, and 101 for more than
  // 100; after --halt, the code of the job that caused it; 128 + the signal
  // that ended the pool; kOwnFailure.
  int Run();

  // Call this for each signal that the program receives. SIGINT: starts no more
  // jobs; the second SIGINT ends the running jobs, the third one kills them.
  // SIGTSTP: stops the jobs and the program, until it is continued. SIGWINCH
  // and SIGCONT: draws the panel anew. Any other counts as two SIGINTs.
  void Signal(int number);
  // Call this when there may be work: a new line of the source, say.
  void Wake();

 private:
  struct Queued {
    Job job;
    std::optional<EndedRun> last;  // The try that failed.
  };
  // A job whose ssh exited with 255, while a probe finds out whether the host
  // can be reached.
  struct Doubted {
    EndedRun ended;
    ResourceUsage usage;
  };
  enum class Stopping { kNot, kSoon, kNow };

  absl::Status OnOutput(const int& slot, ChildStream stream,
                        absl::string_view data) override;
  absl::Status OnTimeout(const int& slot, const absl::Status& why) override;
  absl::Status OnTerminate(const int& slot, const ExitStatus& status) override;
  absl::Status OnFailure(const int& slot, const absl::Status& status) override;

  // Starting.
  bool MayStart() const;
  void StartAll();
  std::optional<Queued> NextJob();
  std::optional<Queued> NextRetry();
  // Whether the log says that it is done.
  absl::StatusOr<bool> IsDone(const Job& job);
  void Start(Queued queued);
  Command CommandFor(const std::string& line, int slot) const;
  absl::Status Spawn(int slot, Command command, int64_t number, pid_t* pid);
  // Ends a job that could not be started.
  void FailToStart(JobRun run, int slot, const absl::Status& status);

  // Output.
  void AwaitRoom();
  std::optional<std::string> TagOf(const Job& job) const;

  // Hosts.
  bool IsDoubtful(const EndedRun& ended, const ExitStatus& status) const;
  void Probe(int slot, EndedRun ended, const ResourceUsage& usage);
  void FinishProbe(int slot, bool reached);

  // Ending.
  JobRun Release(int slot);
  void End(EndedRun ended, int slot, const ResourceUsage& usage);
  void Trace(const EndedRun& ended, int slot, const ResourceUsage& usage);
  void Settle(EndedRun ended);
  void Count(const EndedRun& ended);
  std::string LineFor(const EndedRun& ended) const;
  std::string HostOf(int slot) const;

  // Stopping.
  void CheckPrinter(const absl::Status& status);
  void Fail(const absl::Status& status);
  void Stop(Stopping stopping);
  void EndChildren(const Escalation& escalation);
  void HandleSignals();
  void StopWithJobs();
  void CheckReader();
  void EndOrphans();
  void Summarize();
  bool IsOver() const;
  int ExitCode() const;
  int64_t KnownTotal() const;

  void Await();
  void Watch(JobRun& run, absl::string_view data) const;
  void ShowPanel();
  PanelModel Model() const;
  // Waits for the printer. False: the pool has given it up.
  bool FinishPrinting();

  const PoolOptions options_;
  PoolFiles files_;
  Orphans* const orphans_;
  Bell bell_;
  Slots slots_;
  OutputStore store_;
  std::unique_ptr<Printer> printer_;
  std::unique_ptr<OutputQueue> queue_;
  std::unique_ptr<JobSource> source_;
  absl::Time begin_;
  absl::Time next_panel_;

  std::map<int, JobRun> running_;  // By slot.
  std::deque<Queued> again_;
  std::map<int, Doubted> doubted_;  // By the slot of the probe.
  Tally tally_;
  absl::Time next_start_ = absl::InfinitePast();
  int64_t taken_ = 0;    // Jobs of the source.
  int64_t skipped_ = 0;  // Jobs among them that an earlier run has done.
  bool source_ended_ = false;
  bool crowded_ = false;  // No job starts until another has ended.
  Stopping stopping_ = Stopping::kNot;
  std::optional<int> halted_with_;
  absl::Status failure_;     // Of the pool itself.
  bool unread_ = false;      // That failure is that the output has no reader.
  bool has_output_ = false;  // A job has written to stdout.

  std::atomic<int> interrupts_{0};
  std::atomic<int> signal_{0};  // The first one.
  std::atomic<bool> screen_changed_{false};
  std::atomic<bool> continued_{false};
  std::atomic<bool> stop_{false};  // SIGTSTP has come, and no SIGCONT since.
  int handled_interrupts_ = 0;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_
