#ifndef ASYNCPROC_INTERNAL_OS_WAKER_H_
#define ASYNCPROC_INTERNAL_OS_WAKER_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// Wakes a thread that waits in poll or epoll. Shared by all threads that may
// wake it, so that it lives as long as the last of them.
//
// Thread safety: all methods may be called from any thread.
class Waker {
 public:
  // Errors: kResourceExhausted, with a SpawnFailure.
  static absl::StatusOr<std::shared_ptr<Waker>> Create();

  // Readable after Wake until the next Reset.
  int fd() const { return fd_.get(); }
  void Wake();
  void Reset();
  // For a forked copy of the host, which never uses the Waker.
  void CloseInForkedCopy() { fd_.Reset(); }

 private:
  explicit Waker(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_WAKER_H_
