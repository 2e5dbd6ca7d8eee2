#ifndef ASYNCPROC_WITH_TIMEOUT_H_
#define ASYNCPROC_WITH_TIMEOUT_H_

#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace asyncproc {

namespace internal {

template <typename T>
struct TimeoutResultOf {
  using type = absl::StatusOr<T>;
};
template <>
struct TimeoutResultOf<void> {
  using type = absl::Status;
};
template <>
struct TimeoutResultOf<absl::Status> {
  using type = absl::Status;
};
template <typename T>
struct TimeoutResultOf<absl::StatusOr<T>> {
  using type = absl::StatusOr<T>;
};

// One WithTimeout: the deadline of this thread during its lifetime.
class TimeoutScope {
 public:
  explicit TimeoutScope(absl::Duration timeout);
  ~TimeoutScope();

  // Errors: kResourceExhausted; kDeadlineExceeded when no time is left.
  absl::Status Start();
  // Returns the status of WithTimeout for the status of the function.
  absl::Status Judge(const absl::Status& status) const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace internal

// absl::StatusOr<T> for a function that returns T or absl::StatusOr<T>;
// absl::Status for one that returns absl::Status or nothing.
template <typename F>
using TimeoutResult = typename internal::TimeoutResultOf<
    std::decay_t<std::invoke_result_t<F>>>::type;

// Calls `f` with a deadline, `timeout` from now, for a whole conversation,
// instead of one for each of its calls.
//
//   absl::StatusOr<std::string> answer =
//       asyncproc::WithTimeout(absl::Seconds(5), [&] {
//         process->Write("6 * 7\n").IgnoreError();
//         return process->out().ReadLine(absl::InfiniteDuration());
//       });
//
// `f` runs on this thread, and is never abandoned nor undone in the middle: its
// blocking calls are made to return. At the deadline, on this thread,
//
// - every call of this library that waits for a child ends with
//   kDeadlineExceeded; later calls do so at once. Process::Terminate takes no
//   further step then. Results that are available without waiting are still
//   returned. Cleanup is still done in full: destructors, TapHandle::Remove,
//   which waits for a running tap, and Recorder::Close, which waits until all
//   events have been written;
// - every system call that a signal can interrupt fails with EINTR, at the
//   deadline and every few milliseconds until `f` returns. So read, poll,
//   accept, waitpid or nanosleep end, unless their caller retries: code that
//   retries, such as std::this_thread::sleep_for, absl::SleepFor, std::mutex
//   and stream buffers, does not end. Neither does a computation. Loops in the
//   caller's own code check Deadline::Expired().
//
// The deadline does not apply to threads that `f` starts, nor to taps.
//
// Returns:
// - the result of `f`, a value or any error, if `f` returned in time;
// - kDeadlineExceeded when the time ran out first, even if `f` then returned a
//   value, since it may be incomplete. If such a value must not be lost, `f`
//   keeps it in a variable outside. If `f` returned an error then, its message
//   is part of this one; kDeadlineExceeded and kCancelled, which already have a
//   reason, are returned unchanged;
// - kDeadlineExceeded, without calling `f`, when no time is left: the timeout
//   is zero or less, or the deadline of an outer WithTimeout has passed;
// - kResourceExhausted, without calling `f`, when no timer is available (each
//   takes one of RLIMIT_SIGPENDING), or the program itself uses all real-time
//   signals.
// An exception passes through.
//
// WithTimeout may be used inside of WithTimeout. The earliest deadline counts,
// also when it is the outer one. Fractions of a second count; an infinite
// timeout adds nothing. Setting the system's clock has no effect.
//
// Signals: each call makes its own timer, which sends a real-time signal to the
// calling thread alone. The first call takes the highest-numbered real-time
// signal below SIGRTMAX that has the default action, and sets a handler that
// does nothing; if the program later sets its own handler for that signal, the
// next call takes another. The handler stays: a late signal must not end the
// program. The signal is unblocked in this thread only while `f` runs. SIGALRM,
// setitimer and alarm are not used. This is the one place where this library
// changes a signal disposition of the host, and only once WithTimeout is
// called; children start without it.
//
// Thread safety: may be called from any thread, and from many at once.
template <typename F>
TimeoutResult<F> WithTimeout(absl::Duration timeout, F&& f) {
  using Returned = std::invoke_result_t<F>;
  internal::TimeoutScope scope(timeout);
  if (absl::Status status = scope.Start(); !status.ok()) return status;
  if constexpr (std::is_void_v<Returned>) {
    std::forward<F>(f)();
    return scope.Judge(absl::OkStatus());
  } else if constexpr (std::is_same_v<std::decay_t<Returned>, absl::Status>) {
    return scope.Judge(std::forward<F>(f)());
  } else {
    TimeoutResult<F> result = std::forward<F>(f)();
    absl::Status status = scope.Judge(result.status());
    if (!status.ok()) return status;
    return result;
  }
}

// The earliest deadline of the calling thread, for loops without a call that
// WithTimeout could interrupt:
//
//   while (!done && !asyncproc::Deadline::Expired()) done = DoSomeMore();
//
// Thread safety: from any thread; each thread has its own deadline.
class Deadline {
 public:
  Deadline() = delete;

  // Never less than zero; InfiniteDuration outside of any WithTimeout.
  static absl::Duration Remaining();
  static bool Expired() { return Remaining() == absl::ZeroDuration(); }
};

}  // namespace asyncproc

#endif  // ASYNCPROC_WITH_TIMEOUT_H_
