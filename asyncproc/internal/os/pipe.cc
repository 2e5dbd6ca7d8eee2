#include "asyncproc/internal/os/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {
namespace {

// The size of one block of the kernel's descriptor table.
constexpr int kFirstHighFd = 256;

constexpr int kGrownPipe = 1024 * 1024;

std::atomic<int> grown_pipes{0};

}  // namespace

absl::Status PipeError(int error, absl::string_view action) {
  absl::Status status = absl::ErrnoToStatus(error, action);
  SetSpawnFailure({SpawnStage::kPipe, error}, &status);
  return status;
}

void PipeGrowth::Grow(int fd) {
  if (std::exchange(tried_, true) || fcntl(fd, F_GETPIPE_SZ) >= kGrownPipe) {
    return;
  }
  counted_ = ++grown_pipes <= kMostGrownPipes;
  if (!counted_ || fcntl(fd, F_SETPIPE_SZ, kGrownPipe) < 0) {
    --grown_pipes;
    counted_ = false;
  }
}

void PipeGrowth::Forget() {
  if (std::exchange(counted_, false)) --grown_pipes;
}

UniqueFd AboveStdio(UniqueFd fd) {
  if (!fd.valid() || fd.get() > STDERR_FILENO) return fd;
  return UniqueFd(GetOs().Duplicate(fd.get(), STDERR_FILENO + 1));
}

UniqueFd OpenAboveStdio(const char* path, int flags, mode_t mode) {
  int fd;
  do {
    fd = GetOs().Open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return AboveStdio(UniqueFd(fd));
}

UniqueFd MoveToHighFd(UniqueFd fd) {
  if (!fd.valid() || fd.get() >= kFirstHighFd) return fd;
  UniqueFd moved(GetOs().Duplicate(fd.get(), kFirstHighFd));
  return moved.valid() ? std::move(moved) : AboveStdio(std::move(fd));
}

absl::StatusOr<Pipe> MakePipe(size_t size) {
  int fds[2];
  if (GetOs().Pipe2(fds, O_CLOEXEC) < 0) {
    return PipeError(errno, "cannot make a pipe");
  }
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  pipe.read_end = AboveStdio(std::move(pipe.read_end));
  pipe.write_end = AboveStdio(std::move(pipe.write_end));
  if (!pipe.read_end.valid() || !pipe.write_end.valid()) {
    return PipeError(errno, "cannot make a pipe");
  }
  if (size > 0 &&
      fcntl(pipe.read_end.get(), F_SETPIPE_SZ, static_cast<int>(size)) < 0) {
    const int error = errno;
    return PipeError(error,
                     absl::StrCat("cannot make a pipe of ", size, " bytes"));
  }
  return pipe;
}

absl::StatusOr<SocketPair> MakeSocketPair() {
  int fds[2];
  if (GetOs().SocketPair(fds) < 0) {
    return PipeError(errno, "cannot make a pair of sockets");
  }
  SocketPair pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
  pair.of_host = AboveStdio(std::move(pair.of_host));
  pair.of_child = AboveStdio(std::move(pair.of_child));
  if (pair.of_host.valid() && pair.of_child.valid()) return pair;
  return PipeError(errno, "cannot make a pair of sockets");
}

absl::Status SetNonblocking(const UniqueFd& fd) {
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0 || fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
    return PipeError(errno, "cannot make a descriptor nonblocking");
  }
  return absl::OkStatus();
}

}  // namespace asyncproc::internal
