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

// Waits for any number of descriptors, for points in time, and for calls from
// other threads, and calls those who asked: an epoll without a thread of its
// own.
//
// Thread safety: all methods are for one thread at a time, but for Post. All
// that is called is called by Step, without a lock, and may call anything here
// but Step.
class EventLoop {
 public:
  using WatcherId = uint64_t;
  using TimerId = std::pair<absl::Time, uint64_t>;

  // Whoever watches descriptors; `slot` tells its own apart.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void OnEvents(int slot, uint32_t events) = 0;
  };

  // What a watcher is told of at most, each with its own slot from 0.
  static constexpr int kMostSlots = 256;

  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // In a forked copy of the host: closes the descriptors, and nothing else. It
  // must be leaked then.
  void CloseInForkedCopy();

  // An id is never used again: an event that was on its way when its watcher
  // was removed reaches nobody.
  WatcherId Add(Watcher* watcher);
  // REQUIRES: it watches no descriptor any more.
  void Remove(WatcherId id);
  // Null once it has been removed.
  Watcher* Find(WatcherId id) const;

  // Begins or changes the watch for `events` on `fd`; errors and hang-ups are
  // reported in any case, again and again: Unwatch what is not to be handled
  // now. `was_watched`: it is a change.
  // Errors: kResourceExhausted; nothing has changed then.
  absl::Status Watch(WatcherId id, int slot, int fd, uint32_t events,
                     bool was_watched);
  // Before `fd` is closed.
  void Unwatch(int fd);

  // Calls `function` once, at `time` on MonotonicNow's clock or soon after;
  // those of the same time in the order in which they were set.
  TimerId At(absl::Time time, std::function<void()> function);
  // False when it has been called, or is not known.
  bool Cancel(TimerId timer);

  // Calls `function` from the next Step, and wakes one that waits. Any thread.
  void Post(std::function<void()> function) ABSL_LOCKS_EXCLUDED(mu_);

  // The descriptor for the event loop of the host: readable whenever a Step, or
  // the owner (see SetPending), has something to do. The first call makes the
  // timer that shows the deadlines; a loop that is never asked has none.
  // Errors: kResourceExhausted; nothing has changed then.
  absl::StatusOr<int> fd() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether the owner has work that the loop does not know of: fd() is readable
  // while there is any.
  void SetPending(bool pending);
  // Between the two the owner steps the loop, and fd() shows no change of the
  // deadlines, which would cost a system call each.
  void BeginSteps() { stepping_ = true; }
  void EndSteps(bool pending);

  // Waits until `deadline` for something to happen, and handles all that has.
  void Step(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  EventLoop(UniqueFd epoll, std::shared_ptr<Waker> waker);

  void RunPosted() ABSL_LOCKS_EXCLUDED(mu_);
  void RunTimers();
  // Sets timer_ to the next deadline, if it is another one.
  void SetTimer();
  void SetTimerTo(absl::Time time);
  // Whether to wait at all. From then on a Post wakes.
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
