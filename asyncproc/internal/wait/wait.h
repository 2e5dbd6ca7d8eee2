#ifndef ASYNCPROC_INTERNAL_WAIT_WAIT_H_
#define ASYNCPROC_INTERNAL_WAIT_WAIT_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace asyncproc::internal {

// Waits until `condition` holds, or `deadline`, a point on MonotonicNow's
// clock, has passed, or a WaitScope of this thread ends it. The one place where
// a caller waits for the child, but for those that wait for a descriptor (see
// NextLook). Where a caller waits for another thread of this library, to have
// its lock or its end, which takes a moment, no scope has a say.
//
// What is there wins: when `condition` holds, it is OK whatever has run out.
// Without time to wait (`deadline` has passed), no scope has a say in it: a
// call that asks without waiting works as ever.
//
// Errors: kDeadlineExceeded, kCancelled, saying only that; the caller knows
// what it was for.
absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                   absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

// Waits for the answer of an interactive child, which often comes some
// microseconds after the request. A processor that sleeps takes as long to wake
// up as such a child to answer. So for 50 microseconds after a request of this
// thread, Await looks at the condition again and again, and lets other threads
// run in between, before the thread sleeps. Where that was in vain, the thread
// sleeps at once after the next requests. Without a request, as in a loop that
// reads what a child writes of its own accord, the thread sleeps at once: the
// child needs the processor.
//
// Thread safety: guarded by the mutex that is passed to Await.
class BriefWait {
 public:
  // This thread has just asked a child, or a thread of this library, for what
  // it may wait for next.
  static void NoteRequest();

  // As Await above.
  absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                     absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

 private:
  // Whether the thread looks before it sleeps in a call soon after a request.
  bool LooksFirst();

  int failures_ = 0;  // Since the condition last held in time.
  int skipped_ = 0;   // Such calls since the last failure.
};

// What Await would return for a condition that never holds and a deadline that
// is far off, if that is an error now; for those that do more than wait, or
// wait for what has no lock. Does not block.
absl::Status CheckWaitScopes();

// Sleeps until `deadline`, or until a WaitScope ends it.
// Errors: kCancelled, kDeadlineExceeded: the scope's; OK at the deadline.
absl::Status SleepUntil(absl::Time deadline);

// For those that wait for a descriptor, by poll: until when to, before they ask
// CheckWaitScopes again. `deadline`, or what comes first of a scope's deadline
// and the next look at whether it was canceled.
absl::Time NextLook(absl::Time deadline);

class WaitScope;

// Ends the waits of any number of threads.
//
// Thread safety: all methods may be called from any thread.
class Cancellation {
 public:
  // From now on, waits under it end. When it returns, those that waited have
  // been woken. Again: does nothing.
  void Cancel() ABSL_LOCKS_EXCLUDED(mu_);
  bool canceled() const { return canceled_.load(std::memory_order_acquire); }

 private:
  friend class WaitScope;

  std::atomic<bool> canceled_{false};
  absl::Mutex mu_;
  std::vector<WaitScope*> scopes_ ABSL_GUARDED_BY(mu_);
};

// While it lives, the waits of the thread that made it end at a deadline, or by
// a cancellation, if that comes before their own deadline. Scopes nest: the
// nearest deadline counts, and every cancellation. On the stack only.
class WaitScope {
 public:
  // On MonotonicNow's clock.
  explicit WaitScope(absl::Time deadline);
  explicit WaitScope(std::shared_ptr<Cancellation> cancellation);
  ~WaitScope();
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;

  // The nearest deadline of this thread; InfiniteFuture: none.
  static absl::Time CurrentDeadline();
  // Whether one of this thread can be canceled.
  static bool IsCancelable();

 private:
  friend class Cancellation;
  friend class WaitShield;
  friend absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                            absl::Time deadline);
  friend absl::Status CheckWaitScopes();
  friend absl::Time NextLook(absl::Time deadline);

  // Of this scope and those around it.
  bool IsCanceled() const;
  bool HasCancellation() const;
  // Before and after a wait: lets Cancel wake it. `mu` is held; End may release
  // it for a while.
  void Begin(absl::Mutex* mu);
  void End(absl::Mutex& mu) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  WaitScope* const outer_;
  const absl::Time deadline_;                         // The nearest.
  const std::shared_ptr<Cancellation> cancellation_;  // May be null.

  // Guarded by cancellation_->mu_.
  absl::Mutex* waits_with_ = nullptr;
  bool being_woken_ = false;  // Cancel uses what `waits_with_` was.
};

// While it lives, no WaitScope around it has a say: for what has to be done
// properly when the time is up, too.
class WaitShield {
 public:
  WaitShield();
  ~WaitShield();
  WaitShield(const WaitShield&) = delete;
  WaitShield& operator=(const WaitShield&) = delete;

 private:
  WaitScope* const hidden_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_WAIT_WAIT_H_
