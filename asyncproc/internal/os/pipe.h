#ifndef ASYNCPROC_INTERNAL_OS_PIPE_H_
#define ASYNCPROC_INTERNAL_OS_PIPE_H_

#include <sys/types.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// The two ends of a pipe, closed on exec from birth and never numbered 0, 1 or
// 2: in a host that has closed one of those, it stays closed.
struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

// `size` is the capacity in bytes to ask for; 0 is the kernel's own choice.
// Errors: kResourceExhausted when no descriptor is left. With a SpawnFailure of
// SpawnStage::kPipe.
absl::StatusOr<Pipe> MakePipe(size_t size = 0);

// The error of a failed system call about pipes and descriptors, with a
// SpawnFailure of SpawnStage::kPipe.
absl::Status PipeError(int error, absl::string_view action);

// Makes one busy pipe larger, so that the child and the host stop for each
// other less often. The kernel limits the pages that all pipes of a user have
// in total (pipe-user-pages-soft, usually 64 MiB): the library keeps at most
// kMostGrownPipes of its pipes large at a time, and leaves the rest to other
// programs of the user.
//
// Thread safety: none of its own; objects of several threads may be used at
// once.
class PipeGrowth {
 public:
  static constexpr int kMostGrownPipes = 16;
  // A transfer of this many bytes at once shows that a pipe of the usual size
  // was full.
  static constexpr size_t kUsualSize = 64 * 1024;

  PipeGrowth() = default;
  ~PipeGrowth() { Forget(); }
  PipeGrowth(const PipeGrowth&) = delete;
  PipeGrowth& operator=(const PipeGrowth&) = delete;

  // Makes the pipe larger, once. Does nothing where the kernel refuses that,
  // for a terminal, or when enough pipes are large already.
  void Grow(int fd);
  // The pipe is closed now.
  void Forget();

 private:
  bool tried_ = false;
  bool counted_ = false;
};

// For what opened a descriptor: moves it out of 0, 1 and 2. Not valid, with
// errno set, when that fails.
UniqueFd AboveStdio(UniqueFd fd);

// Opens `path`, closed on exec, above 2, again after a signal has interrupted
// it. Not valid, with errno set, when that fails. Not for a file whose opening
// may block, a FIFO say: no deadline is looked at.
UniqueFd OpenAboveStdio(const char* path, int flags, mode_t mode = 0);

// AboveStdio, for what stays open as long as a child lives: leaves the other
// low numbers free too, if it can. What a child is started with then has low
// numbers however many children live, and of the descriptors that are open only
// those below it are copied (see Spawn).
UniqueFd MoveToHighFd(UniqueFd fd);

// Makes reads and writes return at once. Only for our own end of a pipe: the
// flag belongs to the open file, which other processes may share. Errors: with
// a SpawnFailure of SpawnStage::kPipe.
absl::Status SetNonblocking(const UniqueFd& fd);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_PIPE_H_
