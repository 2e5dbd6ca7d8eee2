#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
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
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/termination.h"
#include "tools/asyncproc/line_printer.h"
#include "tools/asyncproc/orphans.h"
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
  int tries = 1;         // At most, of a job that fails.
  absl::Duration delay;  // Between two starts, at least.
  HaltPolicy halt;
  bool keep_order = false;
  bool tag = false;
  bool line_buffer = false;  // Prints whole lines as they come.
  // Of each stream of a job, all but this much of its beginning and its end is
  // left out.
  size_t head = std::numeric_limits<size_t>::max();
  size_t tail = 0;
  bool one_stream = false;  // Jobs have one pipe for stdout and stderr.
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
  // Exit status 255 may be that of ssh, whose connection has failed.
  bool over_ssh = false;
};

// What is written besides, if anything.
struct PoolFiles {
  std::optional<JobLog> log;
  std::optional<ResultsDirectory> results;
  std::optional<TraceWriter> trace;
};

// Runs the jobs of a source, so many at once, on one thread.
//
//   Pool pool(options, std::move(files), &orphans);
//   pool.SetSource(std::move(source));
//   int code = pool.Run();
//
// Each job has a session of its own: what is typed at our terminal does not
// reach it, and it is ended with all that it started.
//
// Thread safety: none, but for Signal and Wake.
class Pool : private ProcessPoller<int> {
 public:
  Pool(PoolOptions options, PoolFiles files, Orphans* orphans);

  void SetSource(std::unique_ptr<JobSource> source) {
    source_ = std::move(source);
  }

  // Until all is done and printed. Returns the exit code: how many have failed,
  // and 101 for more than 100; when it was halted, that of the job that did it;
  // 128 + the signal when one ended it; kOwnFailure.
  int Run();

  // To be called for each signal that the program gets. SIGINT: starts no more
  // jobs; the second one ends those that run, the third one kills them.
  // SIGTSTP: stops the jobs and the program, until it is continued. SIGWINCH
  // and SIGCONT: draws the panel anew. Any other: as two SIGINTs.
  void Signal(int number);
  // There may be something to do: a line of the source, say.
  void Wake();

 private:
  struct Job {
    int64_t number = 0;  // From 1, of all of the source.
    int64_t order = 0;   // From 0, of those that are run.
    std::vector<std::string> values;
    int tries = 0;
    std::optional<size_t> avoid;  // A host that it has failed on.
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
    pid_t pid = 0;
    StoredOutput out, err;
    int64_t received = 0;  // Bytes of output.
    std::optional<ResultFiles> files;
    std::unique_ptr<HeadAndTailFilter> out_filter, err_filter;
    absl::Status stored;  // What came of it behind the filters.
    // Of lines that are printed as they come: what has no end yet.
    std::string out_line, err_line;
    bool out_begins = true;  // What is printed next begins a line.
    bool timed_out = false;
    bool killed = false;  // By us, as nobody wants it any more.
    std::string said;     // The last line; it may not have its end yet.
    bool said_ended = false;
  };
  // One that ended, until it is counted and printed.
  struct Ended {
    Running run;
    size_t host = 0;
    Outcome outcome;
    JobRecord record;
  };
  struct Queued {
    Job job;
    std::optional<Ended> last;  // The try that failed.
  };
  // A job whose ssh ended with 255, while another tells whether the host can be
  // reached.
  struct Doubted {
    Ended ended;
    ResourceUsage usage;
    pid_t probe = 0;
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
  std::optional<int> SlotFor(const Job& job) const;
  // Whether the log says that it is done.
  absl::StatusOr<bool> IsDone(const Job& job);
  void Start(Queued queued);
  Command CommandFor(const std::string& line, int slot) const;
  absl::Status Spawn(int slot, Command command, int64_t number, pid_t* pid);
  absl::Status Launch(int slot, Running* run);
  void MakeFilters(Running* run);
  // Ends a job that could not be started.
  void FailToStart(Running run, int slot, const absl::Status& status);

  // Output.
  absl::Status Store(Running& run, ChildStream stream, absl::string_view data);
  absl::Status PrintLines(Running& run, ChildStream stream,
                          absl::string_view data);
  absl::Status FinishLines(Running& run);
  void PrintPiece(Running& run, StoredOutput out, StoredOutput err,
                  bool begins_line);
  void PrintIfLarge(Running& run);
  void AwaitRoom();
  std::optional<std::string> TagOf(const Running& run) const;
  void FlushHeld();

  // Hosts.
  size_t HostIndex(int slot) const;
  size_t LiveHosts() const { return options_.hosts.size() - dropped_.size(); }
  bool IsDoubtful(const Ended& ended, const ExitStatus& status, int slot) const;
  void Probe(int slot, Ended ended, const ResourceUsage& usage);
  void FinishProbe(int slot, bool reached);

  // Ending.
  Running Release(int slot);
  void FreeSlot(int slot);
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
  void StopWithJobs();
  void CheckReader();
  void EndOrphans();
  void NoteFailure(const Ended& ended);
  void Summarize();
  bool IsOver() const;
  int ExitCode() const;
  int64_t KnownTotal() const;

  void Await();
  void Watch(Running& run, absl::string_view data) const;
  void ShowPanel();
  PanelModel Model() const;
  // Waits for the printer; false: it is given up.
  bool FinishPrinting();

  const PoolOptions options_;
  PoolFiles files_;
  Orphans* const orphans_;
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
  // The job, by its order, whose output is being printed while it runs; others
  // wait for its end.
  std::optional<int64_t> floor_;
  std::deque<Ended> held_;
  std::map<int, Doubted> doubted_;     // By the slot of the probe.
  std::set<size_t> dropped_;           // Hosts, by index.
  std::vector<std::string> failures_;  // The first ones, in words.
  int64_t killed_ = 0;
  absl::Time next_start_ = absl::InfinitePast();
  int64_t taken_ = 0;    // Of the source.
  int64_t skipped_ = 0;  // Of those, done before.
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
  std::atomic<bool> stop_{false};
  int handled_interrupts_ = 0;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_H_
