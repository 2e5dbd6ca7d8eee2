#include "asyncproc/internal/wait/wait.h"

#include <sched.h>

#include <algorithm>
#include <utility>

#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"

namespace asyncproc::internal {
namespace {

constexpr absl::Duration kTimeBetweenLooks = absl::Milliseconds(5);

// The time for which a BriefWait checks, and the maximum failures that it
// counts: after `n` failures, the waits after the next 2^n - 1 requests sleep
// at once.
constexpr absl::Duration kBriefly = absl::Microseconds(50);
constexpr int kMostFailures = 8;

thread_local WaitScope* current_scope = nullptr;
// The time until which a BriefWait of this thread checks after the last
// request.
thread_local absl::Time looks_until = absl::InfinitePast();

absl::Status TimeIsUp() { return absl::DeadlineExceededError("time is up"); }

absl::Status AwaitWithoutScope(absl::Mutex& mu,
                               const absl::Condition& condition,
                               absl::Time deadline)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
  // A duration, not a time: absl measures a duration on a clock that is never
  // set.
  return mu.AwaitWithTimeout(condition, deadline - MonotonicNow())
             ? absl::OkStatus()
             : TimeIsUp();
}

}  // namespace

absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                   absl::Time deadline) {
  WaitScope* const scope = current_scope;
  if (scope == nullptr) return AwaitWithoutScope(mu, condition, deadline);
  if (condition.Eval()) return absl::OkStatus();
  if (MonotonicNow() >= deadline) return TimeIsUp();

  const auto over = [&] { return condition.Eval() || scope->IsCanceled(); };
  scope->Begin(&mu);
  AwaitWithoutScope(mu, absl::Condition(&over),
                    std::min(deadline, scope->deadline_))
      .IgnoreError();
  scope->End(mu);
  if (condition.Eval()) return absl::OkStatus();
  if (scope->IsCanceled()) return CheckWaitScopes();
  return TimeIsUp();
}

void BriefWait::NoteRequest() { looks_until = MonotonicNow() + kBriefly; }

absl::Status BriefWait::Await(absl::Mutex& mu, const absl::Condition& condition,
                              absl::Time deadline) {
  const absl::Time end = std::min(deadline, looks_until);
  if (MonotonicNow() < end && !condition.Eval() && LooksFirst()) {
    do {
      UnlockMutex(mu, 0);
      sched_yield();
      LockMutex(mu, 0);
      if (condition.Eval()) {
        failures_ = skipped_ = 0;
        return absl::OkStatus();
      }
    } while (MonotonicNow() < end);
    failures_ = std::min(failures_ + 1, kMostFailures);
    skipped_ = 0;
  }
  return internal::Await(mu, condition, deadline);
}

bool BriefWait::LooksFirst() {
  if (skipped_ == (1 << failures_) - 1) return true;
  ++skipped_;
  return false;
}

absl::Status CheckWaitScopes() {
  const WaitScope* const scope = current_scope;
  if (scope == nullptr) return absl::OkStatus();
  if (scope->IsCanceled()) return absl::CancelledError("canceled");
  return MonotonicNow() >= scope->deadline_ ? TimeIsUp() : absl::OkStatus();
}

absl::Status SleepUntil(absl::Time deadline) {
  absl::Mutex mu;
  MutexLock lock(mu);
  const bool never = false;
  Await(mu, absl::Condition(&never), deadline).IgnoreError();
  return MonotonicNow() >= deadline ? absl::OkStatus() : CheckWaitScopes();
}

absl::Time NextLook(absl::Time deadline) {
  const WaitScope* const scope = current_scope;
  if (scope == nullptr) return deadline;
  deadline = std::min(deadline, scope->deadline_);
  if (!scope->HasCancellation()) return deadline;
  return std::min(deadline, MonotonicNow() + kTimeBetweenLooks);
}

void Cancellation::Cancel() {
  struct Wait {
    WaitScope* scope;
    absl::Mutex* mu;
  };
  std::vector<Wait> waits;
  {
    MutexLock lock(mu_);
    if (canceled_.exchange(true)) return;
    for (WaitScope* const scope : scopes_) {
      if (scope->waits_with_ == nullptr) continue;
      scope->being_woken_ = true;
      waits.push_back({scope, scope->waits_with_});
    }
  }
  // A waiting thread holds its own lock when it takes mu_, so never take the
  // two in the other order. Its scope lives until being_woken_ is false again.
  for (const Wait& wait : waits) {
    MutexLock lock(*wait.mu);  // Unlocking evaluates the conditions.
  }
  MutexLock lock(mu_);
  for (const Wait& wait : waits) wait.scope->being_woken_ = false;
}

WaitScope::WaitScope(absl::Time deadline)
    : outer_(current_scope),
      deadline_(std::min(deadline, CurrentDeadline())),
      cancellation_(nullptr) {
  current_scope = this;
}

WaitScope::WaitScope(std::shared_ptr<Cancellation> cancellation)
    : outer_(current_scope),
      deadline_(CurrentDeadline()),
      cancellation_(std::move(cancellation)) {
  if (cancellation_ != nullptr) {
    MutexLock lock(cancellation_->mu_);
    cancellation_->scopes_.push_back(this);
  }
  current_scope = this;
}

WaitScope::~WaitScope() {
  current_scope = outer_;
  if (cancellation_ == nullptr) return;
  MutexLock lock(cancellation_->mu_);
  std::vector<WaitScope*>& scopes = cancellation_->scopes_;
  scopes.erase(std::find(scopes.begin(), scopes.end(), this));
}

absl::Time WaitScope::CurrentDeadline() {
  return current_scope == nullptr ? absl::InfiniteFuture()
                                  : current_scope->deadline_;
}

bool WaitScope::IsCancelable() {
  return current_scope != nullptr && current_scope->HasCancellation();
}

bool WaitScope::IsCanceled() const {
  for (const WaitScope* scope = this; scope != nullptr; scope = scope->outer_) {
    if (scope->cancellation_ != nullptr && scope->cancellation_->canceled()) {
      return true;
    }
  }
  return false;
}

bool WaitScope::HasCancellation() const {
  for (const WaitScope* scope = this; scope != nullptr; scope = scope->outer_) {
    if (scope->cancellation_ != nullptr) return true;
  }
  return false;
}

void WaitScope::Begin(absl::Mutex* mu) {
  for (WaitScope* scope = this; scope != nullptr; scope = scope->outer_) {
    if (scope->cancellation_ == nullptr) continue;
    MutexLock lock(scope->cancellation_->mu_);
    scope->waits_with_ = mu;
  }
}

void WaitScope::End(absl::Mutex& mu) {
  bool being_woken = false;
  for (WaitScope* scope = this; scope != nullptr; scope = scope->outer_) {
    if (scope->cancellation_ == nullptr) continue;
    MutexLock lock(scope->cancellation_->mu_);
    scope->waits_with_ = nullptr;
    being_woken |= scope->being_woken_;
  }
  if (!being_woken) return;
  // Cancel is about to lock `mu`, and must have finished when this returns: the
  // caller may then destroy `mu`.
  UnlockMutex(mu, 0);
  for (WaitScope* scope = this; scope != nullptr; scope = scope->outer_) {
    if (scope->cancellation_ == nullptr) continue;
    MutexLock lock(scope->cancellation_->mu_);
    const auto woken = [scope] { return !scope->being_woken_; };
    scope->cancellation_->mu_.Await(absl::Condition(&woken));
  }
  LockMutex(mu, 0);
}

WaitShield::WaitShield() : hidden_(std::exchange(current_scope, nullptr)) {}

WaitShield::~WaitShield() { current_scope = hidden_; }

}  // namespace asyncproc::internal
