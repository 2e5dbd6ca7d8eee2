#ifndef ASYNCPROC_INTERNAL_LOOP_POLLED_CHILD_H_
#define ASYNCPROC_INTERNAL_LOOP_POLLED_CHILD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/end/reaper.h"
#include "asyncproc/internal/io/byte_queue.h"
#include "asyncproc/internal/io/child_process.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/internal/io/stdin_writer.h"
#include "asyncproc/internal/loop/event_loop.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/terminate/escalation_run.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// An event of a child.
struct ChildEvent {
  enum class Kind {
    kStarted,       // Always the first event.
    kOutput,        // `output` from `fd`.
    kOutputClosed,  // The stream `fd` has ended.
    kInputClosed,   // By either side.
    kTimedOut,      // `limit` names the limit. The child is being ended.
    kExited,        // The child has been reaped.
    kEnded,         // Always the last event.
  };
  Kind kind;
  int fd = -1;  // The child's number for the stream.
  ByteQueue output;
  std::string limit;
};

// Checks the options of a child that is to be started later.
// Errors: kInvalidArgument; kDeadlineExceeded without time for the child.
absl::Status CheckPolledChild(const Command& command,
                              const ChildLimits& limits);

// A child on an EventLoop. It makes no callbacks about the child: it queues
// events, which the owner takes one by one.
//
// The event kEnded comes when the child has been reaped, its output has
// settled, and any escalation is over. Pipes that other processes still hold
// open are closed on the host's side then.
//
// Thread safety: the methods are for the thread of the loop.
class PolledChild final : public EventLoop::Watcher {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // `child` has an event to take. Called once until TakeEvent has returned
    // nothing.
    virtual void OnPending(PolledChild& child) = 0;
  };

  // `cookie` is for the owner's use. `loop` and `listener` must outlive the
  // child.
  // Errors: as ChildProcess::Start and CheckPolledChild; kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<PolledChild>> Start(
      EventLoop& loop, Listener& listener, uint64_t cookie,
      const Command& command, const std::vector<int>& further_pipes,
      const ChildLimits& limits);

  // Kills and reaps the child if it still runs.
  ~PolledChild() override;

  // In a forked copy of the host: closes the descriptors, and nothing else.
  void CloseInForkedCopy() {
    child_->CloseInForkedCopy();
    escalation_ = nullptr;  // Holds pidfds.
    survivor_.Reset();
  }

  EventLoop::WatcherId id() const { return id_; }
  uint64_t cookie() const { return cookie_; }
  Reaper& reaper() { return child_->reaper(); }
  // The command and the number of the child, for messages.
  std::string Name() { return child_->reaper().Name(); }
  // REQUIRES: the event kExited or kEnded has been taken.
  absl::StatusOr<ExitStatus> status();
  // Whether the child has been reaped, and its pause holds the events back.
  bool HasEndedPaused() const { return paused_ && child_->end().HasExited(); }

  // Returns nothing while the child is paused, and when there is no event.
  std::optional<ChildEvent> TakeEvent();

  // Between these two calls, the output is not read, and there are no events.
  void Pause();
  void Resume();

  // Queues bytes for stdin, or closes it. Errors: those of StdinWriter;
  // kFailedPrecondition when stdin is not a pipe.
  absl::Status Write(absl::string_view data);
  absl::Status CloseInput();

  // Stops reading this output. Errors: kNotFound when `fd` is not a pipe or is
  // closed.
  absl::Status CloseOutput(int fd);
  // Stops reading all outputs.
  void CloseOutputs();

  // Errors: as Reaper::Signal.
  absl::Status Signal(int signal);

  // Starts to end the child; this escalation replaces one that is under way.
  // Errors: kInvalidArgument.
  absl::Status Terminate(Escalation escalation);

  // The outcome of the last escalation. Errors: as ProcessPoller::termination.
  absl::StatusOr<Termination> termination();

  // For the loop.
  void OnEvents(int slot, uint32_t events) override;

 private:
  // One stream of the child's output.
  struct Stream {
    int number = -1;  // The child's descriptor.
    OutputBuffer::CursorRef cursor = nullptr;
    bool refused = false;
    bool closed_told = false;
  };
  // The slots that the loop watches: stdin, the exit, and then the outputs.
  enum Slot { kIn, kExit, kFirstOutput };
  // The descriptor and events that the loop watches for a slot.
  struct Interest {
    int fd = -1;
    short events = 0;
  };

  // The outcome of an escalation that is over.
  struct Outcome {
    Termination termination;  // Without the status.
    absl::Status search;      // Of TerminationTargets::search_status.
  };

  PolledChild(EventLoop& loop, Listener& listener, uint64_t cookie);

  // `why`, with the call and the child before its message.
  absl::Status Cannot(absl::string_view call, const absl::Status& why);
  // May be called from any thread.
  void Wake();
  void BeforeClose(int fd);
  void Emit(ChildEvent event);
  void Emit(ChildEvent::Kind kind, int fd = -1);
  // Emits events for the output that has arrived, and for ended streams.
  void EmitOutput();
  int SurvivorSlot() const;
  void OnTime();
  void CheckLimits();
  // Called after any change: emits the events, and updates the watches and the
  // timer.
  void Update();
  void End();
  void AdvanceEscalation();
  absl::Status WatchSlots();
  absl::Status WatchSlot(int slot, int fd, short events);
  absl::Status WatchSurvivor();
  void UnwatchAll();
  void SetTimer();
  absl::Time NextTime() const;

  EventLoop& loop_;
  Listener& listener_;
  const EventLoop::WatcherId id_;
  const uint64_t cookie_;
  std::vector<Stream> streams_;
  std::shared_ptr<ChildProcess> child_;
  std::vector<Interest> interests_;  // By slot; the last is survivor_'s.
  std::unique_ptr<EscalationRun> escalation_;
  std::unique_ptr<Outcome> outcome_;  // Null: no escalation is over.
  UniqueFd survivor_;                 // A target that outlives the child.

  std::unique_ptr<ChildLimits> limits_;  // Null when there is none.
  absl::Time started_;
  absl::Time last_output_;
  std::optional<EventLoop::TimerId> timer_;
  absl::Time retry_ = absl::InfiniteFuture();  // The loop had no room.

  std::vector<ChildEvent> events_;
  size_t taken_ = 0;  // Of events_.
  bool pending_ = false;
  bool paused_ = false;
  bool running_ = false;  // From Start to the destructor.
  bool input_closed_told_ = false;
  bool exited_told_ = false;
  bool ended_told_ = false;
  std::atomic<bool> woken_{false};
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_LOOP_POLLED_CHILD_H_
