#ifndef ASYNCPROC_INTERNAL_LOOP_EVENT_LOOP_H_
#define ASYNCPROC_INTERNAL_LOOP_EVENT_LOOP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/os/waker.h"

namespace asyncproc::internal {

// Waits for any number of descriptors and deadlines, and for calls from other
// threads, and calls their watchers and functions: an epoll without a thread of
// its own.
//
// Thread safety: all methods except Post are for one thread at a time. Step
// makes all callbacks, without a lock; a callback may call any method except
// Step.
class EventLoop {
 public:
  using WatcherId = uint64_t;
  using TimerId = std::pair<absl::Time, uint64_t>;

  // Watches descriptors; `slot` tells them apart.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void OnEvents(int slot, uint32_t events) = 0;
  };

  // The maximum number of slots of one watcher; slots start at 0.
  static constexpr int kMostSlots = 256;

  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // In a forked copy of the host: closes the descriptors, and nothing else. The
  // object must then be leaked.
  void CloseInForkedCopy();

  // Ids are never reused: a pending event of a removed watcher is dropped.
  WatcherId Add(Watcher* watcher);
  // REQUIRES: the watcher watches no descriptor any more.
  void Remove(WatcherId id);
  // Null after Remove.
  Watcher* Find(WatcherId id) const;

  // Starts or changes the watch for `events` on `fd`. Errors and hang-ups are
  // always reported, repeatedly: Unwatch a descriptor whose events are not to
  // be handled now. `was_watched`: this changes an existing watch.
  // Errors: kResourceExhausted; nothing has changed then.
  absl::Status Watch(WatcherId id, int slot, int fd, uint32_t events,
                     bool was_watched);
  // Call this before `fd` is closed.
  void Unwatch(int fd);

  // Calls `function` once, at `time` on MonotonicNow's clock or soon after.
  // Functions with the same time are called in the order of their At calls.
  TimerId At(absl::Time time, std::function<void()> function);
  // Returns false when the timer has fired or is unknown.
  bool Cancel(TimerId timer);

  // Has the next Step call `function`, and wakes a waiting Step. May be called
  // from any thread.
  void Post(std::function<void()> function) ABSL_LOCKS_EXCLUDED(mu_);

  // The descriptor for the event loop of the host: readable whenever Step or
  // the owner (see SetPending) has work. The first call creates the timer that
  // shows the deadlines; without such a call, there is no timer.
  // Errors: kResourceExhausted; nothing has changed then.
  absl::StatusOr<int> fd() ABSL_LOCKS_EXCLUDED(mu_);
  // Tells whether the owner has work that the loop does not know of: fd() is
  // readable while there is any.
  void SetPending(bool pending);
  // Between these two calls, the owner steps the loop, and fd() does not show
  // changes of the deadlines, each of which would cost a system call.
  void BeginSteps() { stepping_ = true; }
  void EndSteps(bool pending);

  // Whether a posted function or a timer waits for the next Step.
  bool HasDueCalls() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until `deadline` for an event, and handles all events.
  void Step(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  EventLoop(UniqueFd epoll, std::shared_ptr<Waker> waker);

  void RunPosted() ABSL_LOCKS_EXCLUDED(mu_);
  void RunTimers();
  // Sets timer_ to the next deadline, if that has changed.
  void SetTimer();
  void SetTimerTo(absl::Time time);
  // Returns whether to wait at all. From then on, Post wakes the loop.
  bool BeginWait() ABSL_LOCKS_EXCLUDED(mu_);
  void EndWait() ABSL_LOCKS_EXCLUDED(mu_);

  UniqueFd epoll_;
  const std::shared_ptr<Waker> waker_;
  absl::flat_hash_map<WatcherId, Watcher*> watchers_;
  std::map<TimerId, std::function<void()>> timers_;
  WatcherId last_watcher_ = 0;
  uint64_t last_timer_ = 0;

  UniqueFd timer_;  // Not valid before fd() is called.
  absl::Time timer_time_ = absl::InfiniteFuture();
  bool pending_ = false;
  bool stepping_ = false;

  absl::Mutex mu_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mu_);
  bool waiting_ ABSL_GUARDED_BY(mu_) = false;
  bool has_host_ ABSL_GUARDED_BY(mu_) = false;  // fd() was called.
  bool woken_ ABSL_GUARDED_BY(mu_) = false;     // waker_ is readable.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_LOOP_EVENT_LOOP_H_
