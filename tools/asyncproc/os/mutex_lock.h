#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_MUTEX_LOCK_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_MUTEX_LOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace asyncproc::cli {

// Abseil has renamed the methods Lock and Unlock to lock and unlock. These
// functions call the ones that there are; the names in lower case are preferred
// by the type of the second argument, 0.
template <typename Mutex>
ABSL_NO_THREAD_SAFETY_ANALYSIS auto LockMutex(Mutex& mu, int /*preferred*/)
    -> decltype(mu.lock()) {
  mu.lock();
}
template <typename Mutex>
ABSL_NO_THREAD_SAFETY_ANALYSIS auto LockMutex(Mutex& mu, long /*fallback*/)
    -> decltype(mu.Lock()) {
  mu.Lock();
}
template <typename Mutex>
ABSL_NO_THREAD_SAFETY_ANALYSIS auto UnlockMutex(Mutex& mu, int /*preferred*/)
    -> decltype(mu.unlock()) {
  mu.unlock();
}
template <typename Mutex>
ABSL_NO_THREAD_SAFETY_ANALYSIS auto UnlockMutex(Mutex& mu, long /*fallback*/)
    -> decltype(mu.Unlock()) {
  mu.Unlock();
}

template <typename Mutex>
ABSL_NO_THREAD_SAFETY_ANALYSIS auto TryLockMutex(Mutex& mu, int /*preferred*/)
    -> decltype(mu.try_lock()) {
  return mu.try_lock();
}
template <typename Mutex>
ABSL_NO_THREAD_SAFETY_ANALYSIS auto TryLockMutex(Mutex& mu, long /*fallback*/)
    -> decltype(mu.TryLock()) {
  return mu.TryLock();
}

// absl::MutexLock in a form that compiles with every version of Abseil.
//
// Thread safety: belongs to the thread that made it.
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

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_MUTEX_LOCK_H_
