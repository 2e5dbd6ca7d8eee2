#include "tools/asyncproc/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace asyncproc::cli {

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd ready = {fd, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "write");
    }
  }
  return absl::OkStatus();
}

}  // namespace asyncproc::cli
