#ifndef ASYNCPROC_INTERNAL_OS_WAKER_H_
#define ASYNCPROC_INTERNAL_OS_WAKER_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "asyncproc/internal/io/driver.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// Wakes whoever waits in poll or epoll, from any thread. Shared by all that may
// have to, so that it lives as long as the last of them.
//
// Thread safety: all methods may be called from any thread.
class Waker : public Driver {
 public:
  // Errors: kResourceExhausted. errno says by what, too.
  static absl::StatusOr<std::shared_ptr<Waker>> Create();

  // Readable from a Wake until the next Reset.
  int fd() const { return fd_.get(); }
  void Wake() override;
  void Reset();

 private:
  explicit Waker(UniqueFd fd) : fd_(std::move(fd)) {}

  const UniqueFd fd_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_WAKER_H_
