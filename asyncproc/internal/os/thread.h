#ifndef ASYNCPROC_INTERNAL_OS_THREAD_H_
#define ASYNCPROC_INTERNAL_OS_THREAD_H_

#include <pthread.h>

#include <functional>

#include "absl/status/statusor.h"
#include "asyncproc/internal/os/fork_stamp.h"

namespace asyncproc::internal {

// A named thread with the host's signals blocked. Unlike std::thread, a failure
// to start does not end the program. The destructor joins the thread. In a
// forked copy of the host, where the thread does not exist, Join and Detach do
// nothing.
//
// Thread safety: none of its own.
class Thread {
 public:
  // `name`: a literal of at most 15 characters, the kernel's limit.
  // Errors: kResourceExhausted.
  static absl::StatusOr<Thread> Start(const char* name,
                                      std::function<void()> body);

  Thread() = default;
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread() { Join(); }

  bool running() const { return entry_ != nullptr; }
  bool IsCurrent() const {
    return running() && pthread_equal(thread_, pthread_self());
  }

  // Does nothing when there is no thread. REQUIRES: not called on the thread
  // itself.
  void Join();
  // Lets the thread continue on its own, with its own copy of `body`.
  void Detach();

 private:
  struct Entry;
  static void* Run(void* entry);
  // In a forked copy: forgets the thread. False elsewhere.
  bool ForgetInForkedCopy();

  ForkStamp stamp_;
  pthread_t thread_ = {};
  Entry* entry_ = nullptr;  // Null: no thread.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_THREAD_H_
