#ifndef ASYNCPROC_INTERNAL_LOOP_CHILD_SET_H_
#define ASYNCPROC_INTERNAL_LOOP_CHILD_SET_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/loop/event_loop.h"
#include "asyncproc/internal/loop/polled_child.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// The children on one EventLoop, with their events as one sequence. Between two
// calls of TakeEvent, the owner may do anything with the children.
//
// Thread safety: for the thread of the loop.
class ChildSet final : private PolledChild::Listener {
 public:
  // `loop` must outlive this object.
  explicit ChildSet(EventLoop& loop) : loop_(loop) {}
  // Kills and reaps all running children.
  ~ChildSet() override;
  ChildSet(const ChildSet&) = delete;
  ChildSet& operator=(const ChildSet&) = delete;

  // In a forked copy of the host: closes the descriptors, and nothing else. The
  // object must then be leaked.
  void CloseInForkedCopy();

  // Errors: as PolledChild::Start.
  absl::StatusOr<PolledChild*> Start(uint64_t cookie, const Command& command,
                                     const std::vector<int>& further_pipes,
                                     const ChildLimits& limits);

  // Kills and reaps the child if it still runs, and discards its remaining
  // events.
  void Remove(PolledChild* child);

  struct Event {
    PolledChild* child;
    ChildEvent what;
  };
  // Returns nothing when the loop has to be stepped first.
  std::optional<Event> TakeEvent();
  // Whether TakeEvent may return an event.
  bool HasEvents() const { return !pending_.empty(); }

  bool empty() const { return children_.empty(); }
  size_t size() const { return children_.size(); }
  // For messages, when there is a child: "cat (pid 42) still runs", or, with
  // further children or `queued` ones: "cat (pid 42) and 2 more still run". If
  // no child runs: "cat (pid 42) has ended, but is paused".
  std::string StillRunning(size_t queued) const;

 private:
  void OnPending(PolledChild& child) override;

  EventLoop& loop_;
  absl::flat_hash_map<EventLoop::WatcherId, std::unique_ptr<PolledChild>>
      children_;
  std::deque<EventLoop::WatcherId> pending_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_LOOP_CHILD_SET_H_
