#ifndef ASYNCPROC_INTERNAL_OS_THREAD_H_
#define ASYNCPROC_INTERNAL_OS_THREAD_H_

#include <pthread.h>

#include <functional>

#include "absl/status/statusor.h"
#include "asyncproc/internal/os/fork_stamp.h"

namespace asyncproc::internal {

// A thread that takes no signals of the host's, has a name, and may fail to
// start without ending the program, which std::thread cannot. Joined when
// destroyed. In a forked copy of the host, where the thread does not exist,
// Join and Detach do nothing.
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
  // In a forked copy: forgets the thread. False elsewhere.
  bool ForgetInForkedCopy();

  ForkStamp stamp_;
  pthread_t thread_ = {};
  Entry* entry_ = nullptr;  // Null: there is none.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_THREAD_H_
