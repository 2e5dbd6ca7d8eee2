#ifndef ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_
#define ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_

#include <sys/types.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/child_streams.h"

namespace asyncproc::internal {

// Keeps alive the thread that started a child with die_with_parent: the kernel
// treats the end of that thread as the end of the host.
class ParentThread;
struct ParentThreadDeleter {
  void operator()(ParentThread* thread) const;
};

// A running child, and the host's ends of its streams.
struct Launched {
  pid_t pid = -1;
  UniqueFd pidfd;  // Not valid where no pidfd is available.
  HostEnds ends;
  std::unique_ptr<ParentThread, ParentThreadDeleter> parent;
};

// Checks that `command` is valid and names open descriptors. Call this before
// opening any descriptor for the command, which might get the number of a
// closed one. Errors: kInvalidArgument.
absl::Status CheckCommand(const Command& command);

// Starts `command`. On return, the child runs its program, or the attempt has
// been undone completely. `further_pipes`: see OpenStreams.
//
// REQUIRES: CheckCommand returns OK.
// Errors: the error of the stage that failed, by its errno, with a
// SpawnFailure.
//
// Thread safety: may be called from any thread.
absl::StatusOr<Launched> Launch(const Command& command,
                                const std::vector<int>& further_pipes = {});

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_
