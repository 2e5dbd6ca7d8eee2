#include "asyncproc/internal/io/driver_seat.h"

#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"

namespace asyncproc::internal {

void DriverSeat::Take() {
  MutexLock lock(mu_);
  empty_since_ = MonotonicNow();
  while (!IsDeserted()) {
  }
  // However long a caller for whom it was left takes to sit down.
  const auto empty = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return holder_ == Holder::kNobody && !wanted_;
  };
  mu_.Await(absl::Condition(&empty));
  holder_ = Holder::kOwner;
  urgent_ = false;
}

bool DriverSeat::IsDeserted() {
  const uint64_t visits = visits_;
  const absl::Duration patience =
      holder_ == Holder::kNobody ? empty_since_ + kPatience - MonotonicNow()
                                 : kPatience;
  if (mu_.AwaitWithTimeout(absl::Condition(&urgent_), patience)) return true;
  if (visits != visits_) return false;
  if (holder_ == Holder::kNobody) return true;
  // A long wait: there is no need to look again before it is over.
  const auto left = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return holder_ == Holder::kNobody || urgent_;
  };
  mu_.Await(absl::Condition(&left));
  return false;
}

bool DriverSeat::IsWanted() const {
  MutexLock lock(mu_);
  return wanted_;
}

void DriverSeat::Leave() {
  MutexLock lock(mu_);
  holder_ = Holder::kNobody;
}

bool DriverSeat::Enter(bool may_drive, const std::function<void()>& hurry) {
  MutexLock lock(mu_);
  ++waiting_;
  if (may_drive && waiting_ == 1 && holder_ == Holder::kOwner && !closed_) {
    wanted_ = true;
    UnlockMutex(mu_, 0);
    hurry();
    LockMutex(mu_, 0);
    const auto left = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return holder_ != Holder::kOwner || closed_;
    };
    mu_.Await(absl::Condition(&left));
    wanted_ = false;
  }
  if (may_drive && waiting_ == 1 && holder_ == Holder::kNobody && !closed_) {
    holder_ = Holder::kCaller;
    ++visits_;
    return true;
  }
  if (holder_ == Holder::kNobody) urgent_ = true;
  return false;
}

void DriverSeat::Exit(bool drove, bool urgent) {
  MutexLock lock(mu_);
  --waiting_;
  if (!drove) return;
  holder_ = Holder::kNobody;
  empty_since_ = MonotonicNow();
  if (urgent || called_ || waiting_ > 0) urgent_ = true;
}

bool DriverSeat::IsMine() {
  MutexLock lock(mu_);
  called_ = false;
  return !closed_;
}

void DriverSeat::CallOwner() {
  MutexLock lock(mu_);
  called_ = true;
  if (holder_ == Holder::kNobody) urgent_ = true;
}

void DriverSeat::Close() {
  MutexLock lock(mu_);
  closed_ = true;
  urgent_ = true;
}

void DriverSeat::AwaitNoCaller() {
  MutexLock lock(mu_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return holder_ != Holder::kCaller;
  };
  mu_.Await(absl::Condition(&none));
}

}  // namespace asyncproc::internal
