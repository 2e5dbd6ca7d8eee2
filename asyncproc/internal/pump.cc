#include "asyncproc/internal/pump.h"

#include <poll.h>

#include <utility>

#include "absl/memory/memory.h"
#include "asyncproc/internal/os.h"

namespace asyncproc::internal {

Pump::Pump(std::shared_ptr<Waker> waker) : shared_(std::make_shared<Shared>()) {
  shared_->waker = std::move(waker);
}

absl::StatusOr<std::unique_ptr<Pump>> Pump::Create() {
  absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
  if (!waker.ok()) return waker.status();
  auto pump = absl::WrapUnique(new Pump(*std::move(waker)));
  absl::StatusOr<Thread> thread =
      Thread::Start("asyncproc-pump", [shared = pump->shared_] {
        shared->started.WaitForNotification();
        Run(*shared);
        // Its descriptors are to be closed before the thread can be joined.
        shared->child = nullptr;
      });
  if (!thread.ok()) return thread.status();
  pump->thread_ = *std::move(thread);
  return pump;
}

Pump::~Pump() {
  shared_->stop = true;
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
    pollfd fds[ChildIo::kSlotCount + 1];
    for (int i = 0; i < ChildIo::kSlotCount; ++i) {
      const auto slot = static_cast<ChildIo::Slot>(i);
      fds[i].fd = child.fd(slot);
      fds[i].events = fds[i].fd >= 0 ? child.events(slot) : short{0};
      fds[i].revents = 0;
    }
    pollfd& wake = fds[ChildIo::kSlotCount];
    wake = {shared.waker->fd(), POLLIN, 0};
    if (GetOs().Poll(fds, ChildIo::kSlotCount + 1, child.deadline()) > 0) {
      if (wake.revents != 0) {
        shared.waker->Reset();
        child.HandleWake();
      }
      for (int i = 0; i < ChildIo::kSlotCount; ++i) {
        if (fds[i].revents == 0) continue;
        child.Handle(static_cast<ChildIo::Slot>(i), fds[i].revents);
      }
    }
    child.HandleTime();
  }
}

}  // namespace asyncproc::internal
