#ifndef ASYNCPROC_INTERNAL_SPAWN_CHILD_STREAMS_H_
#define ASYNCPROC_INTERNAL_SPAWN_CHILD_STREAMS_H_

#include <sys/types.h>

#include <vector>

#include "absl/status/status.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/child_exec.h"

namespace asyncproc::internal {

// The host's end of an output of a child.
struct OutputEnd {
  UniqueFd fd;
  // Of the child's end of the pipe or socket, as in /proc; 0 for a terminal.
  ino_t inode = 0;
};

// The host's ends of a child's pipes, sockets or terminals: nonblocking, closed
// on exec, not valid where the host has no end of the stream. Where stdout
// shares the socket of stdin, `out` is a duplicate of `in`.
struct HostEnds {
  UniqueFd in;
  OutputEnd out;
  OutputEnd err;
  std::vector<OutputEnd> further;
  // The master of the child's terminal, if it has one; `in` and `out` are then
  // duplicates of it.
  UniqueFd terminal;
};

// Whether the descriptors that `command` names are open, and their numbers in
// the child are possible. Errors: kInvalidArgument.
absl::Status CheckDescriptors(const Command& command);
// The same for further pipes: see OpenStreams.
absl::Status CheckFurtherPipes(const Command& command,
                               const std::vector<int>& further_pipes);

// The child's ends, owned until the child has them, and how it gets them.
struct ChildEnds {
  std::vector<UniqueFd> owned;
  std::vector<DescriptorMove> moves;
};

// Opens the streams of `command`. `further_pipes`: descriptors of the child,
// each of which becomes a pipe to the host, like its stdout. Errors: with a
// SpawnFailure.
absl::Status OpenStreams(const Command& command,
                         const std::vector<int>& further_pipes, HostEnds* host,
                         ChildEnds* child);
}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_CHILD_STREAMS_H_
