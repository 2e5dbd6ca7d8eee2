#ifndef ASYNCPROC_INTERNAL_LOOP_POLL_CHILDREN_H_
#define ASYNCPROC_INTERNAL_LOOP_POLL_CHILDREN_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/internal/loop/event_loop.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {

// The poll loop of ProcessPoller and Reactor: handles all pending events with
// `handle`, and steps `loop`, until `handle` returns a status, until
// `deadline`, or until a WaitScope of this thread ends it. Events that occur
// before the deadline are handled.
// Errors: that of `handle`; kDeadlineExceeded with the text of `late()`;
// kCancelled.
template <typename Handle, typename Late>
absl::Status PollChildren(EventLoop& loop, absl::Time deadline, Handle handle,
                          Late late) {
  for (bool last = false;;) {
    if (std::optional<absl::Status> status = handle()) return *status;
    if (last) return absl::DeadlineExceededError(late());
    last = MonotonicNow() >= deadline;
    if (!last) {
      if (absl::Status status = CheckWaitScopes(); !status.ok()) return status;
    }
    loop.Step(last ? deadline : NextLook(deadline));
  }
}

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_LOOP_POLL_CHILDREN_H_
