#include "asyncproc/internal/loop/event_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>

#include "absl/memory/memory.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"

namespace asyncproc::internal {
namespace {

// The id of the loop itself; those of watchers start at 1.
constexpr EventLoop::WatcherId kOwnId = 0;
enum OwnSlot { kWakerSlot, kTimerSlot };
constexpr int kMostEvents = 64;

}  // namespace

EventLoop::EventLoop(UniqueFd epoll, std::shared_ptr<Waker> waker)
    : epoll_(std::move(epoll)), waker_(std::move(waker)) {}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  UniqueFd epoll = MoveToHighFd(UniqueFd(GetOs().EpollCreate()));
  if (!epoll.valid()) return absl::ErrnoToStatus(errno, "cannot make an epoll");
  absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
  if (!waker.ok()) return waker.status();
  auto loop =
      absl::WrapUnique(new EventLoop(std::move(epoll), *std::move(waker)));
  absl::Status status =
      loop->Watch(kOwnId, kWakerSlot, loop->waker_->fd(), EPOLLIN, false);
  if (!status.ok()) return status;
  return loop;
}

EventLoop::~EventLoop() = default;

void EventLoop::CloseInForkedCopy() {
  epoll_.Reset();
  timer_.Reset();
  waker_->CloseInForkedCopy();
}

EventLoop::WatcherId EventLoop::Add(Watcher* watcher) {
  watchers_[++last_watcher_] = watcher;
  return last_watcher_;
}

void EventLoop::Remove(WatcherId id) { watchers_.erase(id); }

EventLoop::Watcher* EventLoop::Find(WatcherId id) const {
  const auto found = watchers_.find(id);
  return found == watchers_.end() ? nullptr : found->second;
}

absl::Status EventLoop::Watch(WatcherId id, int slot, int fd, uint32_t events,
                              bool was_watched) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = id * kMostSlots + static_cast<uint64_t>(slot);
  const int operation = was_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (GetOs().EpollCtl(epoll_.get(), operation, fd, &event) == 0) {
    return absl::OkStatus();
  }
  // ENOSPC: the user's limit of epoll watches, not disk space.
  return absl::ErrnoToStatus(errno == ENOSPC ? EMFILE : errno,
                             "cannot watch a descriptor");
}

void EventLoop::Unwatch(int fd) {
  epoll_event event = {};
  GetOs().EpollCtl(epoll_.get(), EPOLL_CTL_DEL, fd, &event);
}

EventLoop::TimerId EventLoop::At(absl::Time time,
                                 std::function<void()> function) {
  const TimerId timer(time, ++last_timer_);
  timers_.emplace(timer, std::move(function));
  SetTimer();
  return timer;
}

bool EventLoop::Cancel(TimerId timer) {
  const bool found = timers_.erase(timer) > 0;
  SetTimer();
  return found;
}

void EventLoop::Post(std::function<void()> function) {
  MutexLock lock(mu_);
  posted_.push_back(std::move(function));
  if ((waiting_ || has_host_) && !std::exchange(woken_, true)) waker_->Wake();
}

absl::StatusOr<int> EventLoop::fd() {
  if (timer_.valid()) return epoll_.get();
  UniqueFd timer = MoveToHighFd(UniqueFd(GetOs().TimerFd()));
  if (!timer.valid())
    return absl::ErrnoToStatus(errno, "cannot make a timerfd");
  absl::Status status =
      Watch(kOwnId, kTimerSlot, timer.get(), EPOLLIN, /*was_watched=*/false);
  if (!status.ok()) return status;
  timer_ = std::move(timer);
  SetTimer();
  MutexLock lock(mu_);
  has_host_ = true;
  if (!posted_.empty() && !std::exchange(woken_, true)) waker_->Wake();
  return epoll_.get();
}

void EventLoop::SetPending(bool pending) {
  pending_ = pending;
  SetTimer();
}

void EventLoop::EndSteps(bool pending) {
  stepping_ = false;
  SetPending(pending);
}

void EventLoop::SetTimer() {
  if (!timer_.valid() || stepping_) return;
  absl::Time next = absl::InfiniteFuture();
  if (!timers_.empty()) next = timers_.begin()->first.first;
  if (pending_) next = absl::InfinitePast();
  if (next != timer_time_) SetTimerTo(next);
}

// Setting a timer makes it unreadable until its new time, even if it had
// expired.
void EventLoop::SetTimerTo(absl::Time time) {
  timer_time_ = time;
  itimerspec spec = {};  // Never.
  if (time != absl::InfiniteFuture()) {
    // Zero would disarm the timer. A deadline may contain fractions of a
    // nanosecond.
    const absl::Time past = absl::FromUnixNanos(1);
    spec.it_value =
        absl::ToTimespec(std::max(time, past) + absl::Nanoseconds(1));
  }
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

bool EventLoop::BeginWait() {
  MutexLock lock(mu_);
  waiting_ = posted_.empty();
  return waiting_;
}

void EventLoop::EndWait() {
  MutexLock lock(mu_);
  waiting_ = false;
}

bool EventLoop::HasDueCalls() {
  if (!timers_.empty() && timers_.begin()->first.first <= MonotonicNow()) {
    return true;
  }
  MutexLock lock(mu_);
  return !posted_.empty();
}

void EventLoop::Step(absl::Time deadline) {
  if (!timers_.empty()) {
    deadline = std::min(deadline, timers_.begin()->first.first);
  }
  if (!BeginWait()) deadline = absl::InfinitePast();
  epoll_event events[kMostEvents];
  const int count =
      GetOs().EpollWait(epoll_.get(), events, kMostEvents, deadline);
  EndWait();
  for (int i = 0; i < count; ++i) {
    const WatcherId id = events[i].data.u64 / kMostSlots;
    if (id == kOwnId) {
      // RunPosted resets the waker. An expired timer would end each wait at
      // once until EndSteps, so it is disarmed.
      if (events[i].data.u64 % kMostSlots == kTimerSlot) {
        SetTimerTo(absl::InfiniteFuture());
      }
    } else if (Watcher* const watcher = Find(id)) {
      watcher->OnEvents(static_cast<int>(events[i].data.u64 % kMostSlots),
                        events[i].events);
    }
  }
  RunPosted();
  RunTimers();
  SetTimer();
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> posted;
  {
    MutexLock lock(mu_);
    posted.swap(posted_);
    if (std::exchange(woken_, false)) waker_->Reset();
  }
  for (const std::function<void()>& function : posted) function();
}

void EventLoop::RunTimers() {
  if (timers_.empty()) return;
  const absl::Time now = MonotonicNow();
  // Timers set by these functions run in the next Step.
  const uint64_t last = last_timer_;
  for (auto it = timers_.begin();
       it != timers_.end() && it->first.first <= now;) {
    if (it->first.second > last) {
      ++it;
      continue;
    }
    const std::function<void()> function = std::move(it->second);
    timers_.erase(it);
    function();
    it = timers_.begin();
  }
}

}  // namespace asyncproc::internal
