#ifndef ASYNCPROC_INTERNAL_END_CHILD_END_H_
#define ASYNCPROC_INTERNAL_END_CHILD_END_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/end/reaper.h"

namespace asyncproc::internal {

// The end of one child: its exit, and whether its output has settled.
//
// A child is running, exited (it has been reaped), or settled (its output has
// settled). A stream has settled when it is at end-of-file, or when it has been
// abandoned because another process holds it open: its readers still deliver
// further bytes, but no thread waits for them. Every byte that the child wrote
// before its exit has been read by the time its output has settled.
//
// Each thread that reads a stream also watches for the exit: it polls as
// NextWatch says and calls CheckExit. When the last stream ends before the
// child does, its reader thread stays to watch for the exit: see Leave.
//
// Thread safety: all methods may be called from any thread.
class ChildEnd {
 public:
  enum class State {
    kRunning,
    kExited,     // Reaped; its output has not settled.
    kDrained,    // Settled: every stream is at end-of-file.
    kAbandoned,  // Settled, with a stream that another process holds open.
  };

  explicit ChildEnd(std::unique_ptr<Reaper> reaper);

  // Called once, before the watchers can see the child. `streams`: the number
  // of streams that have to settle. `watchers`: the number of threads that
  // watch for the exit.
  void Begin(int streams, int watchers) ABSL_LOCKS_EXCLUDED(mu_);

  Reaper& reaper() { return *reaper_; }

  // From now on, tells `observer` of the exit. Returns false when there is an
  // observer already.
  bool Observe(std::shared_ptr<ChildObserver> observer)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Null when there is none.
  std::shared_ptr<ChildObserver> observer() const ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the observer of the exit now, settled or not, if the child has
  // exited.
  void NoteExit() ABSL_LOCKS_EXCLUDED(mu_);

  State state() const ABSL_LOCKS_EXCLUDED(mu_);
  bool HasExited() const { return state() != State::kRunning; }
  bool IsSettled() const ABSL_LOCKS_EXCLUDED(mu_);
  // The exit status once the output has settled; nothing before.
  std::optional<absl::StatusOr<ExitStatus>> result() const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until the child has exited. Errors: kDeadlineExceeded; kCancelled.
  absl::Status AwaitExit(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until the output has settled, too. Errors: as AwaitExit.
  absl::Status AwaitSettled(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until the output of one of `ends` has settled; returns the index of
  // the first such end. Null elements are skipped. Errors: as AwaitExit.
  static absl::StatusOr<size_t> AwaitAnySettled(
      absl::Span<ChildEnd* const> ends, absl::Time deadline);

  // ---- For the watchers.

  // The descriptor for a watcher to poll. `fd` becomes readable at the exit. It
  // is -1 when the watcher is woken instead (see Reaper), and during a pause
  // after the child ended but could not be reaped, for example because its
  // debugger still holds it. `next_look`: the end of that pause.
  struct Watch {
    bool exited = false;
    int fd = -1;
    absl::Time next_look = absl::InfiniteFuture();
  };
  Watch NextWatch() const ABSL_LOCKS_EXCLUDED(mu_);
  // Reaps the child if it has ended. Returns whether it has been reaped.
  bool CheckExit(Reaper::Group group = Reaper::Group::kRemember)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Another thread will watch for the exit.
  void AddWatcher() ABSL_LOCKS_EXCLUDED(mu_);
  // Called by a watcher whose stream has ended. True: the watcher may stop,
  // since another watcher stays or the child has exited. False: it must stay.
  bool Leave() ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For the readers of the streams.

  // One stream is at its end; `was_abandoned`: it had been abandoned before.
  void OnStreamEnd(bool was_abandoned) ABSL_LOCKS_EXCLUDED(mu_);
  // One stream has been abandoned. REQUIRES: the child has exited.
  void OnStreamAbandoned() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // One AwaitAnySettled. Its lock is taken last.
  struct AnyWait {
    absl::Mutex mu;
    bool settled ABSL_GUARDED_BY(mu) = false;
  };

  void AddWait(AnyWait* wait) ABSL_LOCKS_EXCLUDED(mu_);
  void RemoveWait(AnyWait* wait) ABSL_LOCKS_EXCLUDED(mu_);
  State StateLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsSettledLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Called after a change. Once the output has settled, completes the exit
  // status, and notifies the observer and the waiting threads.
  void Update() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteExitLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::unique_ptr<Reaper> reaper_;

  mutable absl::Mutex mu_;
  std::shared_ptr<ChildObserver> observer_ ABSL_GUARDED_BY(mu_);  // Or null.
  bool exit_noted_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::StatusOr<ExitStatus>> result_ ABSL_GUARDED_BY(mu_);
  std::vector<AnyWait*> waits_ ABSL_GUARDED_BY(mu_);
  int open_streams_ ABSL_GUARDED_BY(mu_) = 0;
  int abandoned_streams_ ABSL_GUARDED_BY(mu_) = 0;
  int watchers_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time quiet_until_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Duration look_interval_ ABSL_GUARDED_BY(mu_);
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_END_CHILD_END_H_
