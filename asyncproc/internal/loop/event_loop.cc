#include "asyncproc/internal/loop/event_loop.h"

#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>

#include "absl/memory/memory.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"

namespace asyncproc::internal {
namespace {

constexpr EventLoop::WatcherId kWakerId = 0;
constexpr int kMostEvents = 64;

}  // namespace

EventLoop::EventLoop(UniqueFd epoll, std::shared_ptr<Waker> waker)
    : epoll_(std::move(epoll)), waker_(std::move(waker)) {}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  UniqueFd epoll = AboveStdio(UniqueFd(GetOs().EpollCreate()));
  if (!epoll.valid()) return absl::ErrnoToStatus(errno, "cannot make an epoll");
  absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
  if (!waker.ok()) return waker.status();
  auto loop =
      absl::WrapUnique(new EventLoop(std::move(epoll), *std::move(waker)));
  absl::Status status =
      loop->Watch(kWakerId, 0, loop->waker_->fd(), EPOLLIN, false);
  if (!status.ok()) return status;
  return loop;
}

EventLoop::~EventLoop() = default;

void EventLoop::CloseInForkedCopy() {
  epoll_.Reset();
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
  // ENOSPC: the user's limit of watches, which is none of disk space.
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
  return timer;
}

bool EventLoop::Cancel(TimerId timer) { return timers_.erase(timer) > 0; }

void EventLoop::Post(std::function<void()> function) {
  MutexLock lock(mu_);
  posted_.push_back(std::move(function));
  if (waiting_) waker_->Wake();
  waiting_ = false;
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
    if (id == kWakerId) {
      waker_->Reset();
    } else if (Watcher* const watcher = Find(id)) {
      watcher->OnEvents(static_cast<int>(events[i].data.u64 % kMostSlots),
                        events[i].events);
    }
  }
  RunPosted();
  RunTimers();
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> posted;
  {
    MutexLock lock(mu_);
    posted.swap(posted_);
  }
  for (const std::function<void()>& function : posted) function();
}

void EventLoop::RunTimers() {
  if (timers_.empty()) return;
  const absl::Time now = MonotonicNow();
  // Those that are set meanwhile are for the next time.
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
