#include "tools/asyncproc/os/raw_mode.h"

#include <errno.h>

namespace asyncproc::cli {

absl::Status RawMode::Enter(int fd, Keys keys) {
  if (tcgetattr(fd, &saved_) < 0) return absl::OkStatus();
  fd_ = fd;  // A call that fails may have changed a part.
  termios raw = saved_;
  if (keys == Keys::kAll) {
    cfmakeraw(&raw);
  } else {
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
  }
  return Set(raw);
}

void RawMode::Leave() {
  if (fd_ >= 0) Set(saved_).IgnoreError();  // The terminal may be gone.
  fd_ = -1;
}

absl::Status RawMode::Set(const termios& settings) {
  while (tcsetattr(fd_, TCSANOW, &settings) < 0) {
    if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot set the terminal");
    }
  }
  return absl::OkStatus();
}

}  // namespace asyncproc::cli
