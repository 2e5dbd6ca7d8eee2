#include "asyncproc/internal/io/pump.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "asyncproc/internal/io/driver_seat.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/waker.h"
#include "asyncproc/internal/wait/wait.h"
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

// What the thread, the callers and the child use; it may outlive the Pump.
class Pump::SharedDriver : public Driver {
 public:
  explicit SharedDriver(std::shared_ptr<Waker> waker)
      : waker_(std::move(waker)) {}

  void Wake() override {
    waker_->Wake();  // First: see DriverSeat::IsMine.
    seat_.CallOwner();
  }

  absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                     absl::Time deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // The thread.
  void Run();

  // Once: what to drive; null when there is nothing to.
  void Start(std::shared_ptr<ChildIo> child) {
    child_ = std::move(child);
    started_.Notify();
  }
  bool started() const { return started_.HasBeenNotified(); }
  // The thread is to end. When it returns, no caller drives any more.
  void Stop();
  // The thread is to end by itself, when the child has settled: a caller that
  // drove would not know of that.
  void Detach();

 private:
  // Drives on the calling thread, until `condition` holds, the time is up, or
  // somebody else is to do it. `mu` is held before and after. Returns whether
  // the child is finished.
  bool DriveForCaller(absl::Mutex& mu, const absl::Condition& condition,
                      absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void DriveUntilWanted();
  bool IsOver() const;

  const std::shared_ptr<Waker> waker_;
  DriverSeat seat_;
  absl::Notification started_;
  // Set before `started_`; then of whoever has the seat.
  std::shared_ptr<ChildIo> child_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> detached_{false};
};

absl::Status Pump::SharedDriver::Await(absl::Mutex& mu,
                                       const absl::Condition& condition,
                                       absl::Time deadline) {
  // Who has no time to wait leaves the child to whoever looks after it: the
  // owner holds back after each caller, and would find no time between those.
  if (condition.Eval() ||
      MonotonicNow() >= std::min(deadline, WaitScope::CurrentDeadline())) {
    return internal::Await(mu, condition, deadline);
  }
  UnlockMutex(mu, 0);
  // What cancels a wait cannot end a poll.
  const bool drives =
      seat_.Enter(!WaitScope::IsCancelable(), [this] { waker_->Wake(); });
  LockMutex(mu, 0);
  if (!drives) {
    absl::Status status = internal::Await(mu, condition, deadline);
    seat_.Exit(/*drove=*/false, /*urgent=*/false);
    return status;
  }
  const bool finished = DriveForCaller(mu, condition, deadline);
  seat_.Exit(/*drove=*/true, /*urgent=*/finished);
  return internal::Await(mu, condition, deadline);
}

bool Pump::SharedDriver::DriveForCaller(absl::Mutex& mu,
                                        const absl::Condition& condition,
                                        absl::Time deadline) {
  deadline = std::min(deadline, WaitScope::CurrentDeadline());
  bool finished = false;
  // At least once, though a short time may be up by now: the owner has held
  // back for it.
  do {
    if (condition.Eval() || !seat_.IsMine()) break;
    UnlockMutex(mu, 0);
    DriveOnce(*child_, *waker_, deadline);
    finished = child_->finished();
    LockMutex(mu, 0);
  } while (MonotonicNow() < deadline);
  return finished;
}

void Pump::SharedDriver::Run() {
  started_.WaitForNotification();
  while (child_ != nullptr) {
    seat_.Take();
    DriveUntilWanted();
    if (IsOver()) break;
    seat_.Leave();
  }
  seat_.Close();
  // Its descriptors are to be closed before the thread can be joined.
  child_ = nullptr;
}

void Pump::SharedDriver::DriveUntilWanted() {
  while (!IsOver() && !seat_.IsWanted()) {
    DriveOnce(*child_, *waker_, absl::InfiniteFuture());
  }
}

bool Pump::SharedDriver::IsOver() const {
  if (child_->finished()) return true;
  return detached_ ? child_->settled() : stop_.load();
}

void Pump::SharedDriver::Stop() {
  stop_ = true;
  seat_.Close();
  waker_->Wake();
  seat_.AwaitNoCaller();
}

void Pump::SharedDriver::Detach() {
  detached_ = true;
  seat_.Close();
  waker_->Wake();
}

Pump::Pump(std::shared_ptr<SharedDriver> driver) : driver_(std::move(driver)) {}

absl::StatusOr<std::unique_ptr<Pump>> Pump::Create() {
  absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
  if (!waker.ok()) {
    const int error = errno;
    absl::Status status = waker.status();
    SetSpawnFailure({SpawnStage::kPipe, error}, &status);
    return status;
  }
  auto pump = absl::WrapUnique(
      new Pump(std::make_shared<SharedDriver>(*std::move(waker))));
  absl::StatusOr<Thread> thread = Thread::Start(
      "asyncproc-pump", [driver = pump->driver_] { driver->Run(); });
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
  if (thread_.running()) driver_->Stop();
  if (!driver_->started()) driver_->Start(nullptr);
}

std::shared_ptr<Driver> Pump::driver() const { return driver_; }

void Pump::Drive(std::shared_ptr<ChildIo> child) {
  driver_->Start(std::move(child));
}

void Pump::Detach() {
  driver_->Detach();
  thread_.Detach();
}

}  // namespace asyncproc::internal
