#ifndef ASYNCPROC_INTERNAL_OS_THREAD_H_
#define ASYNCPROC_INTERNAL_OS_THREAD_H_

#include <pthread.h>

#include <functional>

#include "absl/status/statusor.h"

namespace asyncproc::internal {

// A thread that takes no signals of the host's, has a name, and may fail to
// start without ending the program, which std::thread cannot. Joined when
// destroyed.
//
// Thread safety: none of its own.
class Thread {
 public:
  // `name` is cut to 15 characters, as the kernel has it.
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

  // Does nothing when there is none. REQUIRES: not called on the thread itself.
  void Join();
  // Lets it run on by itself, owning what it uses.
  void Detach();

 private:
  struct Entry;
  static void* Run(void* entry);

  pthread_t thread_ = {};
  Entry* entry_ = nullptr;  // Null: there is none.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_THREAD_H_
