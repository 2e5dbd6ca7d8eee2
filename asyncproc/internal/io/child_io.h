#ifndef ASYNCPROC_INTERNAL_IO_CHILD_IO_H_
#define ASYNCPROC_INTERNAL_IO_CHILD_IO_H_

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/end/reaper.h"
#include "asyncproc/internal/io/child_observer.h"
#include "asyncproc/internal/io/driver.h"
#include "asyncproc/internal/io/input_queue.h"
#include "asyncproc/internal/io/pipe_sink.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/launch.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// `why`, with its SpawnFailure, and what could not be started.
absl::Status CannotStart(const Command& command, const absl::Status& why);

// One child with its pipes and its end, from start to settled, as a state
// machine that blocks nowhere and has no thread: a driver waits for what fd()
// and events() name, calls Handle for what has happened, and looks again. The
// driver is a thread of a Process's own, or the one loop of many children.
//
// The life of a child: it runs; it has ended (reaped, its status known); its
// output has settled. Settled means that every byte it had written when it
// ended has been read, and that each output has come to its end or, because
// somebody else holds it open, has been silent for drain_grace. Such an output
// is abandoned: what still comes is still delivered, but nobody waits for it.
//
// Thread safety: the methods of the driver are for one thread at a time. All
// others may be called from any thread.
class ChildIo {
 public:
  // What the driver waits for: stdin, the end of the child, and its outputs;
  // behind stderr those of further_pipes, in their order.
  enum Slot { kIn, kExit, kOut, kErr, kUsualSlots };

  enum class State {
    kRunning,
    kDraining,   // Ended; its output has not settled.
    kDrained,    // Settled, and at the end of all output.
    kAbandoned,  // Settled, with an output that somebody else holds open.
  };

  using Sinks = std::vector<std::shared_ptr<PipeSink>>;

  // Starts `command`. `sinks`: of stdout, of stderr, and of a further pipe from
  // the child for each of its descriptors in `further_pipes`.
  // Errors: as Launch; nothing is left then.
  static absl::StatusOr<std::unique_ptr<ChildIo>> Start(
      const Command& command, std::shared_ptr<Driver> driver, Sinks sinks,
      const std::vector<int>& further_pipes = {});

  // REQUIRES: the child has ended, or was let go. Closes all pipes; each sink
  // is finished.
  ~ChildIo();

  Reaper& reaper() { return *reaper_; }
  // Null when stdin is not a pipe.
  InputQueue* input() { return input_.get(); }
  // The master of the child's terminal; -1 when it has none.
  int terminal() const { return terminal_.get(); }
  const PipeSink& output(Slot slot) const {
    return *outputs_[slot - kOut].sink;
  }
  // Names the pipe in /proc; 0 when the stream is not a pipe.
  ino_t pipe_inode(Slot slot) const { return outputs_[slot - kOut].inode; }

  // From now on, `observer` is told of everything; and at once, of the output
  // that is still there. False when there is one already.
  bool Observe(std::shared_ptr<ChildObserver> observer)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Tells it, if there is one.
  void NoteSignal(int signal, TerminationScope scope) ABSL_LOCKS_EXCLUDED(mu_);
  void NoteLetters(absl::string_view letters) ABSL_LOCKS_EXCLUDED(mu_);

  State state() const ABSL_LOCKS_EXCLUDED(mu_);
  // Its status once it has settled; nothing before.
  std::optional<absl::StatusOr<ExitStatus>> result() const
      ABSL_LOCKS_EXCLUDED(mu_);
  // Closes stdin, and drops what waits for it, so as to end the child. False
  // when that cannot make it end: stdin is not a pipe, or was closed before,
  // but not by this.
  bool AbortInput();

  // Waits until it has settled. Errors: kDeadlineExceeded.
  absl::Status AwaitSettled(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until it has ended, settled or not. Errors: kDeadlineExceeded.
  absl::Status AwaitEnded(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For the driver.

  int slot_count() const {
    return static_cast<int>(kOut) + static_cast<int>(outputs_.size());
  }
  // What to wait for: -1 for nothing; events may be 0, for the errors alone.
  int fd(Slot slot) const;
  short events(Slot slot) const;
  // When to call HandleTime, on MonotonicNow's clock.
  absl::Time deadline() const { return deadline_; }

  // `events` have happened on fd(slot).
  void Handle(Slot slot, short events) ABSL_LOCKS_EXCLUDED(mu_);
  // The Waker was used: looks at all that may have changed without an event.
  void HandleWake() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether somebody may yet want to end the child's group when it has ended by
  // itself and all its output has been read. True by default.
  void set_group_wanted(bool wanted) { group_wanted_ = wanted; }
  // deadline() may have passed.
  void HandleTime() ABSL_LOCKS_EXCLUDED(mu_);
  // The last call: reads what an ended child still has in its pipes.
  void Finish() ABSL_LOCKS_EXCLUDED(mu_);
  // No longer waits for what others may still write to an ended child's pipes.
  void SettleNow() ABSL_LOCKS_EXCLUDED(mu_);
  // Of a settled child: closes the pipes that others still hold open.
  void Abandon();
  // There is nothing left to wait for.
  bool finished() const;
  // It has been reaped; what it had written by then has been handed on.
  bool ended() const { return ended_seen_; }
  // Also, its output has settled.
  bool settled() const { return settled_seen_; }

 private:
  struct Output {
    UniqueFd fd;
    std::shared_ptr<PipeSink> sink;
    ino_t inode = 0;
    size_t owed = 0;  // Bytes in the pipe that are read whatever the bound.
  };

  ChildIo(const Command& command, std::shared_ptr<Driver> driver, Sinks sinks);

  absl::Status Adopt(Launched launched);
  void AdoptOutput(Output& output, UniqueFd fd);
  std::shared_ptr<ChildObserver> observer() const ABSL_LOCKS_EXCLUDED(mu_);
  void NoteExit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static bool IsWanted(const Output& output);
  void AdvanceInput();
  void Advance(Output& output);
  // Counts what is in the pipe now among what has to be read, come what may.
  void Owe(Output& output);
  void Sync(Output& output);
  void CloseOutput(Output& output);
  void GrowPipe(int fd);
  void TryReap();
  void OnEnded(absl::StatusOr<ExitStatus> status);
  bool OutputsAtEnd() const;
  void CheckDrained();
  // As drained or abandoned; what was abandoned may still come to be drained.
  void Settle();

  const bool leads_group_;
  const absl::Duration drain_grace_;
  const size_t input_limit_;
  const bool may_grow_pipes_;
  const std::shared_ptr<Driver> driver_;
  // An AbortInput has closed stdin: the next one counts as well.
  std::atomic<bool> input_aborted_{false};

  // The driver's.
  std::vector<Output> outputs_;  // From kOut on.
  std::unique_ptr<InputQueue> input_;
  size_t input_taken_ = 0;  // From the queue, by the pipe.
  UniqueFd terminal_;
  std::unique_ptr<ParentThread, ParentThreadDeleter> parent_;
  std::unique_ptr<Reaper> reaper_;
  bool group_wanted_ = true;
  bool ended_seen_ = false;
  bool settled_seen_ = false;
  bool drained_seen_ = false;
  absl::Time last_deadline_ = absl::InfiniteFuture();  // Of the draining.
  absl::Time deadline_ = absl::InfiniteFuture();

  mutable absl::Mutex mu_;
  std::shared_ptr<ChildObserver> observer_ ABSL_GUARDED_BY(mu_);  // Or null.
  bool exit_noted_ ABSL_GUARDED_BY(mu_) = false;
  State state_ ABSL_GUARDED_BY(mu_) = State::kRunning;
  std::optional<absl::StatusOr<ExitStatus>> result_ ABSL_GUARDED_BY(mu_);
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_CHILD_IO_H_
