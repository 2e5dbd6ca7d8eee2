#include "asyncproc/internal/end/child_end.h"

#include <algorithm>
#include <utility>

#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {
namespace {

// The intervals between checks of a child that has ended and cannot be reaped.
// They double: on a busy machine, it takes up to 150 ms until it can be.
constexpr absl::Duration kFirstLookInterval = absl::Milliseconds(1);
constexpr absl::Duration kLastLookInterval = absl::Milliseconds(50);

}  // namespace

ChildEnd::ChildEnd(std::unique_ptr<Reaper> reaper)
    : reaper_(std::move(reaper)) {}

void ChildEnd::Begin(int streams, int watchers) {
  MutexLock lock(mu_);
  open_streams_ = streams;
  watchers_ = watchers;
}

bool ChildEnd::Observe(std::shared_ptr<ChildObserver> observer) {
  MutexLock lock(mu_);
  if (observer_ != nullptr) return false;
  observer_ = std::move(observer);
  return true;
}

std::shared_ptr<ChildObserver> ChildEnd::observer() const {
  MutexLock lock(mu_);
  return observer_;
}

void ChildEnd::NoteExit() {
  MutexLock lock(mu_);
  if (result_.has_value()) NoteExitLocked();
}

void ChildEnd::NoteExitLocked() {
  if (observer_ == nullptr || std::exchange(exit_noted_, true)) return;
  observer_->OnExit(*result_);
}

ChildEnd::State ChildEnd::StateLocked() const {
  if (!result_.has_value()) return State::kRunning;
  if (open_streams_ > 0) return State::kExited;
  return abandoned_streams_ > 0 ? State::kAbandoned : State::kDrained;
}

ChildEnd::State ChildEnd::state() const {
  MutexLock lock(mu_);
  return StateLocked();
}

bool ChildEnd::IsSettledLocked() const {
  return result_.has_value() && open_streams_ == 0;
}

bool ChildEnd::IsSettled() const {
  MutexLock lock(mu_);
  return IsSettledLocked();
}

std::optional<absl::StatusOr<ExitStatus>> ChildEnd::result() const {
  MutexLock lock(mu_);
  if (!IsSettledLocked()) return std::nullopt;
  return result_;
}

absl::Status ChildEnd::AwaitExit(absl::Time deadline) {
  MutexLock lock(mu_);
  const auto exited = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return result_.has_value();
  };
  return Await(mu_, absl::Condition(&exited), deadline);
}

absl::Status ChildEnd::AwaitSettled(absl::Time deadline) {
  MutexLock lock(mu_);
  const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return IsSettledLocked();
  };
  return Await(mu_, absl::Condition(&settled), deadline);
}

void ChildEnd::AddWait(AnyWait* wait) {
  MutexLock lock(mu_);
  waits_.push_back(wait);
  if (!IsSettledLocked()) return;
  MutexLock wait_lock(wait->mu);
  wait->settled = true;
}

void ChildEnd::RemoveWait(AnyWait* wait) {
  MutexLock lock(mu_);
  waits_.erase(std::find(waits_.begin(), waits_.end(), wait));
}

absl::StatusOr<size_t> ChildEnd::AwaitAnySettled(
    absl::Span<ChildEnd* const> ends, absl::Time deadline) {
  AnyWait wait;
  for (ChildEnd* const end : ends) {
    if (end != nullptr) end->AddWait(&wait);
  }
  absl::Status status;
  {
    MutexLock lock(wait.mu);
    status = Await(wait.mu, absl::Condition(&wait.settled), deadline);
  }
  for (ChildEnd* const end : ends) {
    if (end != nullptr) end->RemoveWait(&wait);
  }
  for (size_t i = 0; i < ends.size(); ++i) {
    if (ends[i] != nullptr && ends[i]->IsSettled()) return i;
  }
  return status;
}

ChildEnd::Watch ChildEnd::NextWatch() const {
  MutexLock lock(mu_);
  if (result_.has_value()) return {true, -1, absl::InfiniteFuture()};
  if (MonotonicNow() < quiet_until_) return {false, -1, quiet_until_};
  return {false, reaper_->exit_fd(), absl::InfiniteFuture()};
}

bool ChildEnd::CheckExit(Reaper::Group group) {
  if (HasExited()) return true;
  // Without the lock, which the other watchers need.
  std::optional<absl::StatusOr<ExitStatus>> result = reaper_->TryReap(group);
  MutexLock lock(mu_);
  if (result_.has_value()) return true;
  if (!result.has_value()) {
    if (reaper_->exit_fd() < 0) return false;
    look_interval_ =
        std::clamp(2 * look_interval_, kFirstLookInterval, kLastLookInterval);
    quiet_until_ = MonotonicNow() + look_interval_;
    return false;
  }
  result_ = std::move(result);
  Update();
  return true;
}

void ChildEnd::AddWatcher() {
  MutexLock lock(mu_);
  ++watchers_;
}

bool ChildEnd::Leave() {
  MutexLock lock(mu_);
  if (!result_.has_value() && watchers_ == 1) return false;
  --watchers_;
  return true;
}

void ChildEnd::OnStreamEnd(bool was_abandoned) {
  MutexLock lock(mu_);
  --(was_abandoned ? abandoned_streams_ : open_streams_);
  Update();
}

void ChildEnd::OnStreamAbandoned() {
  MutexLock lock(mu_);
  --open_streams_;
  ++abandoned_streams_;
  Update();
}

void ChildEnd::Update() {
  if (!IsSettledLocked()) return;
  if (result_->ok()) (*result_)->set_output_complete(abandoned_streams_ == 0);
  NoteExitLocked();
  for (AnyWait* const wait : waits_) {
    MutexLock lock(wait->mu);
    wait->settled = true;
  }
}

}  // namespace asyncproc::internal
