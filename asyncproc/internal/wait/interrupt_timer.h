#ifndef ASYNCPROC_INTERNAL_WAIT_INTERRUPT_TIMER_H_
#define ASYNCPROC_INTERNAL_WAIT_INTERRUPT_TIMER_H_

#include <signal.h>
#include <time.h>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace asyncproc::internal {

// From a point in time on, interrupts the system calls of one thread, every few
// milliseconds: one that began just after an interruption meets the next.
//
// See with_timeout.h for the signal that it uses.
//
// Thread safety: each belongs to the thread that started it. Any number of
// threads may have theirs.
class InterruptTimer {
 public:
  InterruptTimer() = default;
  // After it, no more interruptions come from this timer.
  ~InterruptTimer();
  InterruptTimer(const InterruptTimer&) = delete;
  InterruptTimer& operator=(const InterruptTimer&) = delete;

  // Once. `when`: on MonotonicNow's clock.
  // Errors: kResourceExhausted when the system has no timer left, or the
  // program uses all real-time signals.
  absl::Status Start(absl::Time when);

 private:
  bool running_ = false;
  bool unblocked_ = false;  // The signal was blocked in this thread.
  int signal_ = 0;
  timer_t timer_ = {};
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_WAIT_INTERRUPT_TIMER_H_
