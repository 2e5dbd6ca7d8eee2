#include "asyncproc/internal/io/raw_mode.h"

#include <errno.h>

namespace asyncproc::internal {

absl::Status RawMode::Enter(int fd) {
  if (tcgetattr(fd, &saved_) < 0) return absl::OkStatus();
  fd_ = fd;  // Even a failed call may have changed settings.
  termios raw = saved_;
  cfmakeraw(&raw);
  return Set(raw);
}

void RawMode::Leave() {
  if (fd_ >= 0) Set(saved_).IgnoreError();  // The terminal may be gone.
  fd_ = -1;
}

absl::Status RawMode::Set(const termios& settings) {
  while (tcsetattr(fd_, TCSANOW, &settings) < 0) {
    if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot set the user's terminal");
    }
  }
  return absl::OkStatus();
}

}  // namespace asyncproc::internal
