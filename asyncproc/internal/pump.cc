#include "asyncproc/internal/pump.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "asyncproc/internal/os.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {
namespace {

// How often to look where poll itself fails, for want of memory say.
constexpr timespec kBlindInterval = {0, 5'000'000};

// Nothing blocks: whatever is open may be tried.
void TakeAllForReady(pollfd* fds, int count) {
  nanosleep(&kBlindInterval, nullptr);
  for (int i = 0; i < count; ++i) {
    fds[i].revents = fds[i].fd >= 0 ? short{POLLIN} : short{0};
  }
}

}  // namespace

void DriveOnce(ChildIo& child, Waker& waker, absl::Time deadline) {
  pollfd fds[ChildIo::kUsualSlots + 1];
  for (int i = 0; i < ChildIo::kUsualSlots; ++i) {
    const auto slot = static_cast<ChildIo::Slot>(i);
    fds[i].fd = child.fd(slot);
    fds[i].events = fds[i].fd >= 0 ? child.events(slot) : short{0};
    fds[i].revents = 0;
  }
  pollfd& wake_fd = fds[ChildIo::kUsualSlots];
  wake_fd = {waker.fd(), POLLIN, 0};
  int ready = GetOs().Poll(fds, ChildIo::kUsualSlots + 1,
                           std::min(child.deadline(), deadline));
  if (ready < 0 && errno != EINTR) {
    TakeAllForReady(fds, ready = ChildIo::kUsualSlots + 1);
  }
  if (ready > 0) {
    if (wake_fd.revents != 0) {
      waker.Reset();
      child.HandleWake();
    }
    for (int i = 0; i < ChildIo::kUsualSlots; ++i) {
      if (fds[i].revents == 0) continue;
      child.Handle(static_cast<ChildIo::Slot>(i), fds[i].revents);
    }
  }
  child.HandleTime();
}

Pump::Pump(std::shared_ptr<Waker> waker) : shared_(std::make_shared<Shared>()) {
  shared_->waker = std::move(waker);
}

absl::StatusOr<std::unique_ptr<Pump>> Pump::Create() {
  absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
  if (!waker.ok()) {
    absl::Status status = waker.status();
    SetSpawnFailure({SpawnStage::kPipe, errno}, &status);
    return status;
  }
  auto pump = absl::WrapUnique(new Pump(*std::move(waker)));
  absl::StatusOr<Thread> thread =
      Thread::Start("asyncproc-pump", [shared = pump->shared_] {
        shared->started.WaitForNotification();
        Run(*shared);
        // Its descriptors are to be closed before the thread can be joined.
        shared->child = nullptr;
      });
  if (!thread.ok()) {
    absl::Status status = thread.status();
    SetSpawnFailure({SpawnStage::kThread, EAGAIN}, &status);
    return status;
  }
  pump->thread_ = *std::move(thread);
  return pump;
}

Pump::~Pump() {
  // A detached thread must not see it: it looks at both flags, one by one.
  if (thread_.running()) shared_->stop = true;
  if (!shared_->started.HasBeenNotified()) shared_->started.Notify();
  shared_->waker->Wake();
}

void Pump::Drive(std::shared_ptr<ChildIo> child) {
  shared_->child = std::move(child);
  shared_->started.Notify();
}

void Pump::Detach() {
  shared_->detached = true;
  shared_->waker->Wake();
  thread_.Detach();
}

void Pump::Run(Shared& shared) {
  while (shared.child != nullptr) {
    ChildIo& child = *shared.child;
    if (child.finished()) return;
    if (shared.detached ? child.settled() : shared.stop.load()) return;
    DriveOnce(child, *shared.waker, absl::InfiniteFuture());
  }
}

}  // namespace asyncproc::internal
