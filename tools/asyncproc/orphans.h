#ifndef ASYNCPROC_TOOLS_ASYNCPROC_ORPHANS_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_ORPHANS_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/termination.h"
#include "tools/asyncproc/control_group.h"
#include "tools/asyncproc/guard.h"

namespace asyncproc::cli {

// The processes that commands leave behind: processes whose parent has ended,
// in any group or session. The kernel makes this process their parent as soon
// as an Orphans object exists. The object reaps them when they end, and ends
// them on request; an Escalation does not find them. The program has one such
// object, and every subcommand that starts processes uses it.
//
//   Orphans orphans;                       // Before there is a thread.
//   auto watcher = SignalWatcher::Start(signals, callback, &orphans);
//   {
//     Orphans::Birth birth(&orphans);
//     orphans.Mark(&command);
//     auto process = Process::Spawn(command);
//     if (process.ok()) birth.Started((*process)->pid());
//   }
//   ...                                    // The process has ended.
//   orphans.Ended(pid);
//   std::vector<Survivor> left = orphans.EndAll(absl::Seconds(5));
//
// Processes are told apart by an environment variable, kMarkVariable, which
// they inherit: the processes of this run of the tool, and those of each of its
// jobs. The Guard in this object ends them if the tool is killed.
//
// Thread safety: any thread may call anything; one thread calls Dismiss.
class Orphans {
 public:
  // `group`: the control group of the tool, or null.
  // REQUIRES: there is no other thread, and no child yet.
  explicit Orphans(std::unique_ptr<ControlGroup> group = nullptr);
  Orphans(const Orphans&) = delete;
  Orphans& operator=(const Orphans&) = delete;

  // Marks the processes that `command` starts. `job`: the number for EndJob.
  void Mark(Command* command, int64_t job = 0) const;

  // Holds off the reaping while a child is being started: the child is no
  // orphan.
  class ABSL_SCOPED_LOCKABLE Birth {
   public:
    explicit Birth(Orphans* orphans) ABSL_EXCLUSIVE_LOCK_FUNCTION(orphans->mu_);
    ~Birth() ABSL_UNLOCK_FUNCTION();
    // The child that was started: its Process reaps it.
    void Started(pid_t pid) ABSL_NO_THREAD_SAFETY_ANALYSIS;

   private:
    Orphans* const orphans_;
  };
  // That child has been reaped.
  void Ended(pid_t pid) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the orphans of a job, present and future ones, from Tick.
  void EndJob(int64_t job) ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until the orphans of all such jobs have ended. Returns those that are
  // left after `patience`. Blocking: up to `patience`.
  std::vector<Survivor> AwaitJobs(absl::Duration patience)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Sends a signal to every process that has the mark of this run of the tool,
  // orphan or not.
  void SignalAll(int signal) const;

  // Ends all orphans by SIGTERM, and after a second by SIGKILL, and then the
  // orphans that those leave behind. Returns the processes that are left after
  // `patience`. Blocking: up to `patience`.
  std::vector<Survivor> EndAll(absl::Duration patience)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Nothing is left to guard: removes the control group, and lets the Guard end
  // while the program ends.
  void Dismiss();

  // For SignalWatcher: SIGCHLD has come.
  void OnChildSignal() { child_signal_ = true; }
  // For SignalWatcher: reaps and ends orphans, and returns the longest time
  // until the next call. Never waits for a Birth, which may take long.
  absl::Duration Tick() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Duration TickLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether there is a zombie to reap, as far as one system call can tell. Sets
  // child_signal_ if the answer is hidden by a zombie that has a Process.
  bool HasEndedOrphan() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Reaps the orphans that have ended; returns the others.
  std::vector<pid_t> Reap() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndJobs(const std::vector<pid_t>& orphans)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::vector<Survivor> SurvivorsOfJobs(const std::vector<pid_t>& orphans) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string MarkOf(int64_t job) const;

  const std::string id_;  // The mark of this run of the tool.
  std::unique_ptr<ControlGroup> group_;
  Guard guard_;

  std::atomic<bool> child_signal_{false};

  absl::Mutex mu_;
  std::set<pid_t> own_ ABSL_GUARDED_BY(mu_);
  // The jobs whose orphans are to end, and the times of EndJob.
  std::map<int64_t, absl::Time> ending_ ABSL_GUARDED_BY(mu_);
  std::set<pid_t> asked_ ABSL_GUARDED_BY(mu_);  // Have received SIGTERM.
  bool waited_ ABSL_GUARDED_BY(mu_) =
      false;  // For a Process to reap its child.
  absl::Time last_reaping_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_ORPHANS_H_
