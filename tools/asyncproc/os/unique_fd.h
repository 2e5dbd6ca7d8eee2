#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_UNIQUE_FD_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace asyncproc::cli {

// Owns one file descriptor and closes it once.
//
// Thread safety: as an int.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }

  // A close that was interrupted has closed the descriptor, on Linux.
  void Reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    if (old >= 0) close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_UNIQUE_FD_H_
