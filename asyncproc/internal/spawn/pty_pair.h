#ifndef ASYNCPROC_INTERNAL_SPAWN_PTY_PAIR_H_
#define ASYNCPROC_INTERNAL_SPAWN_PTY_PAIR_H_

#include "absl/status/statusor.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// The two sides of a pseudo-terminal, created with close-on-exec, never
// numbered 0, 1 or 2, and not a controlling terminal of any process.
struct PtyPair {
  UniqueFd master;  // The host's.
  UniqueFd slave;   // The child's.
};

// Errors: kResourceExhausted when no descriptor or terminal is left. With a
// SpawnFailure of SpawnStage::kTerminal.
absl::StatusOr<PtyPair> MakePty(const Pty& options);

// Makes a pseudo-terminal that passes bytes unchanged in both directions,
// without echo: a pipe that programs treat as a terminal, with the default size
// of Pty.
// Errors: as MakePty.
absl::StatusOr<PtyPair> MakeRawPty();

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_PTY_PAIR_H_
