#ifndef ASYNCPROC_INTERNAL_LOOP_POLLER_CORE_H_
#define ASYNCPROC_INTERNAL_LOOP_POLLER_CORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

class ChildSet;
class EventLoop;
class PolledChild;
struct ChildEvent;

// ProcessPoller without its key type: children are numbers here. For the
// methods, see ProcessPoller.
//
// Thread safety: none of its own, except that Stop may be called from any
// thread.
class PollerCore {
 public:
  using Id = uint64_t;

  // Receives the events; an error ends Poll. Only Poll calls these methods.
  class Client {
   public:
    virtual ~Client() = default;
    virtual absl::Status HandleStarted(Id id) = 0;
    virtual absl::Status HandleOutput(Id id, ChildStream stream,
                                      absl::string_view data) = 0;
    virtual absl::Status HandleTimeout(Id id, const absl::Status& why) = 0;
    // The last event; the id is no longer known. `termination`: as
    // PolledChild's, kNotFound when there was no child.
    virtual absl::Status HandleEnded(
        Id id, absl::StatusOr<ExitStatus> status,
        absl::StatusOr<Termination> termination) = 0;
  };

  // `max_running`: 0 for no limit.
  PollerCore(Client& client, size_t max_running);
  // Kills and reaps all running children.
  ~PollerCore();

  absl::StatusOr<Id> Run(Command command, std::optional<std::string> input,
                         const ChildLimits& limits);
  absl::Status SendInput(Id id, absl::string_view data);
  absl::Status CloseInput(Id id);
  absl::Status SendSignal(Id id, int signal);
  absl::Status Terminate(Id id, Escalation escalation);
  void Remove(Id id);
  absl::StatusOr<pid_t> GetPid(Id id) const;
  absl::StatusOr<Termination> GetTermination(Id id) const;
  // The result of a child that has not ended: kUnavailable.
  absl::Status NotEnded(Id id) const;

  // `done`: checked first and after each callback; null to continue until all
  // children have ended.
  absl::Status Poll(absl::Duration timeout, const std::function<bool()>* done);
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<int> fd();

  size_t running() const { return running_; }
  size_t queued() const { return entries_.size() - running_; }

 private:
  // A child that waits until others have ended.
  struct Waiting {
    Command command;
    ChildLimits limits;
    std::optional<std::string> input;
    bool input_closed = false;
  };
  struct Entry {
    PolledChild* child = nullptr;  // Null while the child waits.
    std::unique_ptr<Waiting> waiting;
    absl::Status failure;  // The reason why the child was never started.
  };

  absl::Status MakeLoop() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Start(Id id, const Command& command, absl::string_view input,
                     const ChildLimits& limits);
  // Reports a child that could not be started, or starts the next one.
  absl::Status AdvanceQueue();
  absl::Status PollUnguarded(absl::Duration timeout,
                             const std::function<bool()>* done);
  // Handles the pending events. Returns the status for Poll to return, if any.
  std::optional<absl::Status> HandleEvents(const std::function<bool()>* done);
  absl::Status Dispatch(PolledChild& child, ChildEvent event);
  // Whether HandleEvents has work.
  bool HasWork() const;
  bool HasRoom() const { return max_running_ == 0 || running_ < max_running_; }
  // The command of the child, for messages. REQUIRES: the child waits or was
  // started.
  std::string Name(const Entry& entry) const;
  // The error of a call that needs a started child, by a verb and preposition.
  absl::Status NotStarted(absl::string_view call, const Entry& entry) const;

  Client& client_;
  const size_t max_running_;
  const ForkStamp stamp_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<ChildSet> children_;
  absl::flat_hash_map<Id, Entry> entries_;
  std::deque<Id> queue_;  // Also ids that have been removed.
  std::deque<Id> failed_;
  size_t running_ = 0;
  Id last_id_ = 0;
  bool polling_ = false;

  std::atomic<bool> stopped_{false};
  absl::Mutex mu_;
  EventLoop* waker_ ABSL_GUARDED_BY(mu_) = nullptr;  // loop_, for Stop.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_LOOP_POLLER_CORE_H_
