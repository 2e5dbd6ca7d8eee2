#ifndef ASYNCPROC_INTERNAL_OS_MUTEX_LOCK_H_
#define ASYNCPROC_INTERNAL_OS_MUTEX_LOCK_H_

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace asyncproc::internal {

// In 2026, Abseil renamed Lock and Unlock to lock and unlock, and MutexLock
// takes a reference since then. These functions call the existing name.
template <typename Mutex, typename = decltype(std::declval<Mutex&>().lock())>
void LockMutex(Mutex& mu, int /*preferred*/) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) {
  mu.lock();
}
template <typename Mutex>
void LockMutex(Mutex& mu, long /*fallback*/) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) {
  mu.Lock();
}
template <typename Mutex, typename = decltype(std::declval<Mutex&>().unlock())>
void UnlockMutex(Mutex& mu, int /*preferred*/) ABSL_UNLOCK_FUNCTION(mu) {
  mu.unlock();
}
template <typename Mutex>
void UnlockMutex(Mutex& mu, long /*fallback*/) ABSL_UNLOCK_FUNCTION(mu) {
  mu.Unlock();
}

// absl::MutexLock, in a form that compiles with every version of Abseil.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(absl::Mutex& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu)
      : mu_(mu) {
    LockMutex(mu_, 0);
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { UnlockMutex(mu_, 0); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  absl::Mutex& mu_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_MUTEX_LOCK_H_
