#ifndef ASYNCPROC_INTERNAL_IO_DRIVER_H_
#define ASYNCPROC_INTERNAL_IO_DRIVER_H_

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {

// Whoever waits for the descriptors of a child and moves it on: a thread of its
// own, or the loop of many. This is what a child tells it.
class Driver {
 public:
  virtual ~Driver() = default;

  // Something has changed that no descriptor shows. Callable from any thread,
  // also while locks of the child are held: it only takes note.
  virtual void Wake() = 0;

  // `fd` is about to be closed, by the driver's own call: an epoll that still
  // had it would go on to report it for as long as another process shares it.
  virtual void BeforeClose(int /*fd*/) {}

  // internal::Await, for a condition that the driver may bring about; one that
  // lets the caller drive meanwhile does so. Who else makes `condition` true
  // has to call Wake.
  virtual absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                             absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return internal::Await(mu, condition, deadline);
  }
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_DRIVER_H_
