#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child_limits.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process_poller.h"
#include "tools/asyncproc/pool/bell.h"
#include "tools/asyncproc/pool/command_template.h"
#include "tools/asyncproc/pool/halt_policy.h"
#include "tools/asyncproc/pool/job_source.h"
#include "tools/asyncproc/pool/joblog.h"
#include "tools/asyncproc/pool/output_store.h"
#include "tools/asyncproc/pool/panel.h"
#include "tools/asyncproc/pool/printer.h"
#include "tools/asyncproc/pool/results_directory.h"
#include "tools/asyncproc/pool/trace_writer.h"

namespace asyncproc::cli {

struct PoolOptions {
  int slots = 1;
  CommandTemplate command;
  ChildLimits limits;
  int retries = 0;  // Further tries of a job that fails.
  HaltPolicy halt;
  bool keep_order = false;
  bool tag = false;
  enum class Progress { kPanel, kLines, kNone };
  Progress progress = Progress::kNone;
  // What the log says was done is left out; also what failed, unless:
  bool retry_failed = false;
  OutputStore::Options store;
  PrinterOptions printer;
  // The command for a command line, in a slot from 1; by default /bin/sh's.
  std::function<Command(const std::string& line, int slot)> make_command;
  // Where slot 1, 2, ... are, again and again; empty: all here.
  std::vector<std::string> hosts;
};

// What is written besides, if anything.
struct PoolFiles {
  std::optional<JobLog> log;
  std::optional<ResultsDirectory> results;
  std::optional<TraceWriter> trace;
};

// Runs the jobs of a source, so many at once, on one thread.
//
//   Pool pool(options, std::move(files));
//   pool.SetSource(std::move(source));
//   int code = pool.Run();
//
// Each job has a session of its own: what is typed at our terminal does not
// reach it, and it is ended with all that it started.
//
// Thread safety: none, but for Signal and Wake.
class Pool : private ProcessPoller<int> {
 public:
  Pool(PoolOptions options, PoolFiles files);

  void SetSource(std::unique_ptr<JobSource> source) {
    source_ = std::move(source);
  }

  // Until all is done and printed. Returns the exit code: how many have failed,
  // and 101 for more than 100; when it was halted, that of the job that did it;
  // 128 + the signal when one ended it; kOwnFailure.
  int Run();

  // To be called for each signal that the program gets. SIGINT: starts no more
  // jobs; the second one ends those that run, the third one kills them.
  // SIGWINCH and SIGCONT: draws the panel anew. Any other: as two SIGINTs.
  void Signal(int number);
  // There may be something to do: a line of the source, say.
  void Wake();

 private:
  struct Job {
    int64_t number = 0;  // From 1, of all of the source.
    int64_t order = 0;   // From 0, of those that are run.
    std::vector<std::string> values;
    int tries = 0;
  };
  // How a try of a job ended.
  struct Outcome {
    bool ok = false;
    int code = 0;       // As an exit code of ours.
    std::string words;  // "ok", "exit status 3", "timed out"
  };
  struct Running {
    Running(Job what, OutputStore* store)
        : job(std::move(what)), out(store), err(store) {}

    Job job;
    std::string line;
    absl::Time start;  // As people count it.
    absl::Time begin;  // As MonotonicNow does: no clock that is set counts.
    StoredOutput out, err;
    std::optional<ResultFiles> files;
    bool timed_out = false;
    bool killed = false;  // By us, as nobody wants it any more.
    std::string said;     // The last line; it may not have its end yet.
    bool said_ended = false;
  };
  // One that ended, until it is counted and printed.
  struct Ended {
    Running run;
    Outcome outcome;
    JobRecord record;
  };
  struct Queued {
    Job job;
    std::optional<Ended> last;  // The try that failed.
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
  std::optional<Job> NextJob();
  // Whether the log says that it is done.
  absl::StatusOr<bool> IsDone(const Job& job);
  void Start(Job job);
  absl::Status Launch(int slot, const Running& run);
  // Ends a job that could not be started.
  void FailToStart(Running run, int slot, const absl::Status& status);

  // Ending.
  Running Release(int slot);
  void End(Ended ended, int slot, const ResourceUsage& usage);
  void Trace(const Ended& ended, int slot, const ResourceUsage& usage);
  void Settle(Ended ended);
  void Count(const Ended& ended);
  void Print(Ended ended);
  void PrintNow(Ended ended);
  std::string LineFor(const Ended& ended) const;
  std::string HostOf(int slot) const;

  // Stopping.
  void CheckPrinter(const absl::Status& status);
  void Fail(const absl::Status& status);
  void Stop(Stopping stopping);
  void EndChildren(const Escalation& escalation);
  void HandleSignals();
  bool IsOver() const;
  int ExitCode() const;

  void Await();
  void Watch(Running& run, absl::string_view data) const;
  void ShowPanel();
  PanelModel Model() const;
  // Waits for the printer; false: it is given up.
  bool FinishPrinting();

  const PoolOptions options_;
  PoolFiles files_;
  Bell bell_;
  OutputStore store_;
  std::unique_ptr<Printer> printer_;
  std::unique_ptr<JobSource> source_;
  absl::Time begin_;
  absl::Time next_panel_;

  std::map<int, Running> running_;  // By slot.
  std::set<int> free_;
  std::deque<Queued> again_;
  std::map<int64_t, Ended> unprinted_;  // By order.
  int64_t taken_ = 0;                   // Of the source.
  int64_t skipped_ = 0;                 // Of those, done before.
  int64_t next_printed_ = 0;
  int64_t succeeded_ = 0;
  int64_t failed_ = 0;
  bool source_ended_ = false;
  bool crowded_ = false;  // Nothing is started until something has ended.
  Stopping stopping_ = Stopping::kNot;
  std::optional<int> halted_with_;
  absl::Status failure_;  // Of the pool itself.
  bool unread_ = false;   // It is that nobody is there to print for.

  std::atomic<int> interrupts_{0};
  std::atomic<int> signal_{0};  // The first one.
  std::atomic<bool> screen_changed_{false};
  std::atomic<bool> continued_{false};
  int handled_interrupts_ = 0;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_
