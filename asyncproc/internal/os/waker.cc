#include "asyncproc/internal/os/waker.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"

namespace asyncproc::internal {

absl::StatusOr<std::shared_ptr<Waker>> Waker::Create() {
  UniqueFd fd = MoveToHighFd(UniqueFd(GetOs().EventFd()));
  if (!fd.valid()) return PipeError(errno, "cannot make an eventfd");
  return std::shared_ptr<Waker>(new Waker(std::move(fd)));
}

// Each call fails only when the count is at its limit or at zero, and then
// there is nothing to do.
void Waker::Wake() { eventfd_write(fd_.get(), 1); }

void Waker::Reset() {
  eventfd_t count;
  eventfd_read(fd_.get(), &count);
}

}  // namespace asyncproc::internal
