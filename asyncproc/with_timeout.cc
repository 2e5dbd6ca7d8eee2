#include "asyncproc/with_timeout.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"

namespace asyncproc {
namespace internal {

TimeoutScope::TimeoutScope(absl::Duration timeout)
    : timeout_(timeout),
      outer_deadline_(WaitScope::CurrentDeadline()),
      deadline_(std::min(DeadlineAfter(timeout), outer_deadline_)),
      scope_(deadline_) {}

absl::Status TimeoutScope::Start() {
  if (MonotonicNow() >= deadline_) return TimeIsUp();
  // The timer of the outer scope serves both.
  if (deadline_ == outer_deadline_) return absl::OkStatus();
  return timer_.Start(deadline_);
}

absl::Status TimeoutScope::Judge(const absl::Status& status) const {
  if (MonotonicNow() < deadline_ || absl::IsDeadlineExceeded(status) ||
      absl::IsCancelled(status)) {
    return status;
  }
  if (status.ok()) return TimeIsUp();
  return absl::DeadlineExceededError(
      absl::StrCat(TimeIsUp().message(), ": ", status.ToString()));
}

absl::Status TimeoutScope::TimeIsUp() const {
  return absl::DeadlineExceededError(
      deadline_ == outer_deadline_
          ? "the time of the WithTimeout around this one is up"
          : absl::StrCat("not done after ", absl::FormatDuration(timeout_)));
}

}  // namespace internal

absl::Duration Deadline::Remaining() {
  const absl::Time deadline = internal::WaitScope::CurrentDeadline();
  if (deadline == absl::InfiniteFuture()) return absl::InfiniteDuration();
  return std::max(deadline - internal::MonotonicNow(), absl::ZeroDuration());
}

}  // namespace asyncproc
