#ifndef ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_
#define ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// Keeps alive the thread that started a child with die_with_parent: the kernel
// treats the end of that thread as the end of the host.
class ParentThread;
struct ParentThreadDeleter {
  void operator()(ParentThread* thread) const;
};

// The host's end of an output of a child.
struct OutputEnd {
  UniqueFd fd;
  // Of the child's end of the pipe or socket, as in /proc; 0 for a terminal.
  ino_t inode = 0;
};

// A running child, and the host's ends of its pipes, sockets or terminals:
// nonblocking, closed on exec, not valid where the host has no end of the
// stream. Where stdout shares the socket of stdin, `out` is a duplicate of
// `in`.
struct Launched {
  pid_t pid = -1;
  UniqueFd pidfd;  // Not valid where no pidfd is available.
  UniqueFd in;
  OutputEnd out;
  OutputEnd err;
  std::vector<OutputEnd> further;
  // The master of the child's terminal, if it has one; `in` and `out` are then
  // duplicates of it.
  UniqueFd terminal;
  std::unique_ptr<ParentThread, ParentThreadDeleter> parent;
};

// Checks that `command` is valid and names open descriptors. Call this before
// opening any descriptor for the command, which might get the number of a
// closed one. Errors: kInvalidArgument.
absl::Status CheckCommand(const Command& command);

// `why`, with its SpawnFailure, prefixed with the name of the command.
absl::Status CannotStart(const Command& command, const absl::Status& why);

// Starts `command`. On return, the child runs its program, or the attempt has
// been undone completely. `further_pipes`: descriptors of the child, each of
// which becomes a pipe to the host, like its stdout. `ready`, if not null, is
// called once the pipes are open; its error, returned unchanged, ends the start
// before there is a child.
//
// REQUIRES: CheckCommand returns OK.
// Errors: the error of the stage that failed, by its errno, with a
// SpawnFailure.
//
// Thread safety: may be called from any thread.
absl::StatusOr<Launched> Launch(
    const Command& command, const std::vector<int>& further_pipes = {},
    const std::function<absl::Status()>& ready = nullptr);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_LAUNCH_H_
