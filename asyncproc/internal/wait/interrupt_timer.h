#ifndef ASYNCPROC_INTERNAL_WAIT_INTERRUPT_TIMER_H_
#define ASYNCPROC_INTERNAL_WAIT_INTERRUPT_TIMER_H_

#include <signal.h>
#include <time.h>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace asyncproc::internal {

// Interrupts the system calls of one thread, from a point in time on and every
// few milliseconds, so that a call that starts just after an interruption is
// interrupted by the next one.
//
// For the signal that it uses, see with_timeout.h.
//
// Thread safety: each timer belongs to the thread that started it. Any number
// of threads may have timers.
class InterruptTimer {
 public:
  InterruptTimer() = default;
  // After the destructor, this timer causes no more interruptions.
  ~InterruptTimer();
  InterruptTimer(const InterruptTimer&) = delete;
  InterruptTimer& operator=(const InterruptTimer&) = delete;

  // Called once. `when`: on MonotonicNow's clock.
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
