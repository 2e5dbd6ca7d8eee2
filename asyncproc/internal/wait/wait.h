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

// Waits until `condition` holds, `deadline` (on MonotonicNow's clock) has
// passed, or a WaitScope of this thread ends the wait. Every wait of a caller
// for the child uses this function, except waits for a descriptor (see
// NextLook). Short waits for another thread of this library, for its lock or
// its end, ignore scopes.
//
// The condition takes precedence: when `condition` holds, the result is OK even
// after a deadline or a cancellation. If `deadline` has passed already, scopes
// have no effect: a call that only checks works as usual.
//
// Errors: kDeadlineExceeded, kCancelled, without further details; the caller
// adds them.
absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                   absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

// Waits for the answer of an interactive child, which often comes some
// microseconds after the request. A sleeping processor takes as long to wake up
// as such a child takes to answer. So for 50 microseconds after a request of
// this thread, Await checks the condition repeatedly, and lets other threads
// run in between, before the thread sleeps. After a failed attempt, the thread
// sleeps at once for the next requests. Without a request, as in a loop that
// reads unsolicited output, the thread sleeps at once: the child needs the
// processor.
//
// Thread safety: guarded by the mutex that is passed to Await.
class BriefWait {
 public:
  // This thread has just made a request to a child, or to a thread of this
  // library, and may wait for the answer next.
  static void NoteRequest();

  // As Await above.
  absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                     absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

 private:
  // Whether a call soon after a request checks repeatedly before it sleeps.
  bool LooksFirst();

  int failures_ = 0;  // Since the condition last held in time.
  int skipped_ = 0;   // Calls without checks since the last failure.
};

// The error that Await would return now for a condition that never holds and a
// distant deadline, or OK. For callers that do more than wait, or wait without
// a lock. Does not block.
absl::Status CheckWaitScopes();

// Sleeps until `deadline`, or until a WaitScope ends the sleep.
// Errors: kCancelled, kDeadlineExceeded, from the scope; OK at the deadline.
absl::Status SleepUntil(absl::Time deadline);

// For callers that poll a descriptor: the time until which to wait before the
// next CheckWaitScopes. This is `deadline`, the deadline of a scope, or the
// next check for a cancellation, whichever comes first.
absl::Time NextLook(absl::Time deadline);

class WaitScope;

// Ends the waits of any number of threads.
//
// Thread safety: all methods may be called from any thread.
class Cancellation {
 public:
  // From now on, waits under this cancellation end. On return, all waiting
  // threads have been woken. A second call does nothing.
  void Cancel() ABSL_LOCKS_EXCLUDED(mu_);
  bool canceled() const { return canceled_.load(std::memory_order_acquire); }

 private:
  friend class WaitScope;

  std::atomic<bool> canceled_{false};
  absl::Mutex mu_;
  std::vector<WaitScope*> scopes_ ABSL_GUARDED_BY(mu_);
};

// During its lifetime, the waits of the thread that created it end at a
// deadline, or by a cancellation, if that comes before their own deadline.
// Scopes nest: the nearest deadline counts, and every cancellation. The same
// thread destroys its scopes, in the reverse order.
class WaitScope {
 public:
  // `deadline`: on MonotonicNow's clock.
  explicit WaitScope(absl::Time deadline);
  explicit WaitScope(std::shared_ptr<Cancellation> cancellation);
  ~WaitScope();
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;

  // The nearest deadline of this thread; InfiniteFuture when there is none.
  static absl::Time CurrentDeadline();
  // Whether a scope of this thread can be canceled.
  static bool IsCancelable();

 private:
  friend class Cancellation;
  friend class WaitShield;
  friend absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                            absl::Time deadline);
  friend absl::Status CheckWaitScopes();
  friend absl::Time NextLook(absl::Time deadline);

  // For this scope and those around it.
  bool IsCanceled() const;
  bool HasCancellation() const;
  // Called before and after a wait, so that Cancel can wake it. `mu` is held;
  // End may release it for a while.
  void Begin(absl::Mutex* mu);
  void End(absl::Mutex& mu) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  WaitScope* const outer_;
  const absl::Time deadline_;                         // The nearest.
  const std::shared_ptr<Cancellation> cancellation_;  // May be null.

  // Guarded by cancellation_->mu_.
  absl::Mutex* waits_with_ = nullptr;
  bool being_woken_ = false;  // Cancel uses the value of `waits_with_`.
};

// During its lifetime, the WaitScopes around it have no effect: for work that
// must complete even after the deadline.
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
