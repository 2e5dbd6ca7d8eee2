#ifndef ASYNCPROC_INTERNAL_OS_PER_PROCESS_H_
#define ASYNCPROC_INTERNAL_OS_PER_PROCESS_H_

#include <atomic>

#include "asyncproc/internal/os/fork_stamp.h"

namespace asyncproc::internal {

// A global object, of which a forked copy of the host gets a new instance: the
// mutexes of the original's instance may be locked there forever. For static
// variables: the instances are never destroyed. A copy that is forked while the
// first instance is made does not wait for it, as it would for the initializer
// of a static variable.
//
//   static PerProcess<absl::Mutex> mutex;
//   MutexLock lock(mutex.Get());
//
// Thread safety: Get may be called from any thread.
template <typename T>
class PerProcess {
 public:
  constexpr PerProcess() = default;

  T& Get() {
    Instance* instance = instance_.load();
    while (instance == nullptr || instance->stamp.IsForkedCopy()) {
      auto* const made = new Instance;
      if (instance_.compare_exchange_strong(instance, made)) {
        instance = made;
      } else {
        delete made;
      }
    }
    return instance->value;
  }

 private:
  struct Instance {
    const ForkStamp stamp;
    T value;
  };

  std::atomic<Instance*> instance_{nullptr};
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_PER_PROCESS_H_
