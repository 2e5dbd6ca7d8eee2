#ifndef ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_
#define ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_

#include <sys/types.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// Keeps the thread going that a child with die_with_parent was started on: the
// kernel takes the end of that thread for the end of the host.
class ParentThread;
struct ParentThreadDeleter {
  void operator()(ParentThread* thread) const;
};

// A child that runs, and the host's ends of its pipes or terminals:
// nonblocking, closed on exec, not valid where the host has no end of the
// stream.
struct Launched {
  pid_t pid = -1;
  UniqueFd pidfd;  // Not valid where there is none to be had.
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
  std::vector<UniqueFd> further;
  // The master of the child's terminal, of which `in` and `out` are copies
  // then.
  UniqueFd terminal;
  std::unique_ptr<ParentThread, ParentThreadDeleter> parent;
};

// Whether `command` makes sense and names descriptors that are open. To be
// asked before any is opened for it, which might be given the number of one
// that is not. Errors: kInvalidArgument.
absl::Status CheckCommand(const Command& command);

// `why`, with its SpawnFailure, after the name of the command.
absl::Status CannotStart(const Command& command, const absl::Status& why);

// Starts `command`. When it returns, the child runs its program, or nothing is
// left of the attempt. `further_pipes`: descriptors of the child, each of which
// is to be a pipe to the host, as its stdout is.
//
// REQUIRES: CheckCommand returns OK.
// Errors: what errno says of the stage that failed, with a SpawnFailure.
//
// Thread safety: may be called from any thread.
absl::StatusOr<Launched> Launch(const Command& command,
                                const std::vector<int>& further_pipes = {});

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_
