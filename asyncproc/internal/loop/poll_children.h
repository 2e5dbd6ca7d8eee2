#ifndef ASYNCPROC_INTERNAL_LOOP_POLL_CHILDREN_H_
#define ASYNCPROC_INTERNAL_LOOP_POLL_CHILDREN_H_

#include <algorithm>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/internal/loop/event_loop.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/text/elapsed.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {

// The poll loop of ProcessPoller and Reactor: handles all pending events with
// `handle`, and steps `loop`, until `handle` returns a status, until `timeout`
// has passed, or until a WaitScope of this thread ends it. Events that occur
// before the deadline are handled.
// Errors: that of `handle`; kDeadlineExceeded with the text of `late()` and the
// time; kCancelled.
template <typename Handle, typename Late>
absl::Status PollChildren(EventLoop& loop, absl::Duration timeout,
                          Handle handle, Late late) {
  const absl::Time start = MonotonicNow();
  const absl::Time deadline = DeadlineAfter(timeout);
  const auto give_up = [&] {
    const absl::Duration elapsed = std::min(timeout, MonotonicNow() - start);
    return absl::DeadlineExceededError(
        absl::StrCat(late(), " after ", FormatElapsed(elapsed)));
  };
  // `handle` may return at once, for example because there is no child.
  if (loop.HasDueCalls()) loop.Step(absl::InfinitePast());
  for (bool last = false;;) {
    if (std::optional<absl::Status> status = handle()) return *status;
    if (last) return give_up();
    last = MonotonicNow() >= deadline;
    if (!last) {
      absl::Status status = CheckWaitScopes();
      if (absl::IsDeadlineExceeded(status)) return give_up();
      if (!status.ok()) return status;
    }
    loop.Step(last ? deadline : NextLook(deadline));
  }
}

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_LOOP_POLL_CHILDREN_H_
