#include "tools/asyncproc/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

absl::StatusOr<std::string> ReadSome(int fd, const std::string& name,
                                     const CancellationToken& token,
                                     const std::function<bool()>& stops) {
  for (;;) {
    if (token.IsCanceled()) return absl::CancelledError("canceled");
    // Another thread receives the signals: none interrupts poll here.
    pollfd poll_fd = {fd, POLLIN, 0};
    if (poll(&poll_fd, 1, /*timeout=*/50) <= 0) {
      // A Ctrl-C cancels the read, and may make `stops` true, too.
      if (!token.IsCanceled() && stops != nullptr && stops()) return "";
      continue;
    }
    char bytes[65536];
    const ssize_t count = read(fd, bytes, sizeof(bytes));
    if (count >= 0) return std::string(bytes, static_cast<size_t>(count));
    if (errno != EINTR && errno != EAGAIN) {
      return absl::ErrnoToStatus(errno, name);
    }
  }
}

absl::StatusOr<std::string> ReadFile(absl::string_view option,
                                     const std::string& path,
                                     const CancellationToken& token) {
  const std::string name = absl::StrCat(option, " ", path);
  const UniqueFd file = OpenFile(path.c_str(), O_RDONLY);
  if (!file.valid()) return absl::ErrnoToStatus(errno, name);
  std::string text;
  for (;;) {
    absl::StatusOr<std::string> more = ReadSome(file.get(), name, token);
    if (!more.ok()) return more.status();
    if (more->empty()) return text;
    text += *more;
    if (text.size() > kLongestInput) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " has more than ", kLongestInput >> 20, " MiB"));
    }
  }
}

}  // namespace asyncproc::cli
