#ifndef ASYNCPROC_INTERNAL_OS_PIPE_H_
#define ASYNCPROC_INTERNAL_OS_PIPE_H_

#include <sys/types.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// The two ends of a pipe, created with close-on-exec and never numbered 0, 1 or
// 2: if the host has closed one of those numbers, it stays closed.
struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

// `size` is the requested capacity in bytes; 0 leaves the choice to the kernel.
// Errors: kResourceExhausted when no descriptor is left. With a SpawnFailure of
// SpawnStage::kPipe.
absl::StatusOr<Pipe> MakePipe(size_t size = 0);

// A connected pair of stream sockets, created as a Pipe is.
struct SocketPair {
  UniqueFd of_host;
  UniqueFd of_child;
};

// Errors: as MakePipe.
absl::StatusOr<SocketPair> MakeSocketPair();

// The error of a failed system call about pipes and descriptors, with a
// SpawnFailure of SpawnStage::kPipe.
absl::Status PipeError(int error, absl::string_view action);

// Enlarges one busy pipe, so that the child and the host block on each other
// less often. The kernel limits the total pages of all pipes of a user
// (pipe-user-pages-soft, usually 64 MiB): the library keeps at most
// kMostGrownPipes of its pipes enlarged at a time, and leaves the rest to other
// programs of the user.
//
// Thread safety: none of its own; several objects may be used at the same time.
class PipeGrowth {
 public:
  static constexpr int kMostGrownPipes = 16;
  // A transfer of this many bytes in one call shows that a pipe of the usual
  // size was full.
  static constexpr size_t kUsualSize = 64 * 1024;

  PipeGrowth() = default;
  ~PipeGrowth() { Forget(); }
  PipeGrowth(const PipeGrowth&) = delete;
  PipeGrowth& operator=(const PipeGrowth&) = delete;

  // Enlarges the pipe, once. Does nothing when the kernel refuses, for a
  // terminal or a socket, or when enough pipes are enlarged already.
  void Grow(int fd);
  // Call this when the pipe is closed.
  void Forget();

 private:
  bool tried_ = false;
  bool counted_ = false;
};

// For a newly opened descriptor: moves it above 0, 1 and 2. On failure, the
// result is not valid and errno is set.
UniqueFd AboveStdio(UniqueFd fd);

// Opens `path`, closed on exec and above 2, and retries after EINTR. On
// failure, the result is not valid and errno is set. Not for a file whose
// opening may block, such as a FIFO: there is no deadline.
UniqueFd OpenAboveStdio(const char* path, int flags, mode_t mode = 0);

// AboveStdio, for a descriptor that stays open while a child lives: if
// possible, keeps other low numbers free too. The descriptors for starting a
// child then have low numbers however many children live, and only open
// descriptors below those are copied (see Spawn).
UniqueFd MoveToHighFd(UniqueFd fd);

// Makes reads and writes return at once. Only for the host's end of a pipe: the
// flag belongs to the open file, which other processes may share. Errors: with
// a SpawnFailure of SpawnStage::kPipe.
absl::Status SetNonblocking(const UniqueFd& fd);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_PIPE_H_
