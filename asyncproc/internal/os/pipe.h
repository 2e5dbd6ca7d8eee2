#ifndef ASYNCPROC_INTERNAL_OS_PIPE_H_
#define ASYNCPROC_INTERNAL_OS_PIPE_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

// For what opened a descriptor: moves it out of 0, 1 and 2. Not valid, with
// errno set, when that fails.
UniqueFd AboveStdio(UniqueFd fd);

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
