#include "asyncproc/with_timeout.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/interrupt_timer.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {
namespace internal {

struct TimeoutScope::State {
  explicit State(absl::Duration timeout) : timeout(timeout) {}

  absl::Status TimeIsUp() const {
    return absl::DeadlineExceededError(
        deadline == outer_deadline
            ? "the time of the WithTimeout around this one is up"
            : absl::StrCat("not done after ", absl::FormatDuration(timeout)));
  }

  const absl::Duration timeout;
  const absl::Time outer_deadline = WaitScope::CurrentDeadline();
  // The earliest.
  const absl::Time deadline = std::min(DeadlineAfter(timeout), outer_deadline);
  const WaitScope scope{deadline};
  InterruptTimer timer;
};

TimeoutScope::TimeoutScope(absl::Duration timeout)
    : state_(std::make_unique<State>(timeout)) {}

TimeoutScope::~TimeoutScope() = default;

absl::Status TimeoutScope::Start() {
  if (MonotonicNow() >= state_->deadline) return state_->TimeIsUp();
  // The timer of the outer scope serves both.
  if (state_->deadline == state_->outer_deadline) return absl::OkStatus();
  return state_->timer.Start(state_->deadline);
}

absl::Status TimeoutScope::Judge(const absl::Status& status) const {
  if (MonotonicNow() < state_->deadline || absl::IsDeadlineExceeded(status) ||
      absl::IsCancelled(status)) {
    return status;
  }
  const absl::Status late = state_->TimeIsUp();
  if (status.ok()) return late;
  return absl::DeadlineExceededError(
      absl::StrCat(late.message(), ": ", status.ToString()));
}

}  // namespace internal

absl::Duration Deadline::Remaining() {
  const absl::Time deadline = internal::WaitScope::CurrentDeadline();
  if (deadline == absl::InfiniteFuture()) return absl::InfiniteDuration();
  return std::max(deadline - internal::MonotonicNow(), absl::ZeroDuration());
}

}  // namespace asyncproc
