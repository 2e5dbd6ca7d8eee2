#ifndef ASYNCPROC_INTERNAL_OS_UNIQUE_FD_H_
#define ASYNCPROC_INTERNAL_OS_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace asyncproc::internal {

// Owns one file descriptor and closes it once.
//
// Thread safety: none of its own; guard it like an int.
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

  // close() is not repeated after EINTR: Linux has already closed the
  // descriptor, and another thread may already have reused its number.
  void Reset(int fd = -1) {
    // Forgets the number first: a copy of the host that is forked in between
    // must not close the number again, which may be another file's by then.
    const int old = std::exchange(fd_, fd);
    if (old >= 0) close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_UNIQUE_FD_H_
