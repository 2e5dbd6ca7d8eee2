#ifndef ASYNCPROC_INTERNAL_SPAWN_PTY_PAIR_H_
#define ASYNCPROC_INTERNAL_SPAWN_PTY_PAIR_H_

#include "absl/status/statusor.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// The two sides of a pseudo-terminal, closed on exec from birth, never numbered
// 0, 1 or 2, and nobody's controlling terminal.
struct PtyPair {
  UniqueFd master;  // The host's.
  UniqueFd slave;   // The child's.
};

// Errors: kResourceExhausted when there is no descriptor or terminal to be had.
// With a SpawnFailure of SpawnStage::kTerminal.
absl::StatusOr<PtyPair> MakePty(const Pty& options);

// One that passes bytes on as they are, in both directions, and echoes nothing:
// a pipe that programs take for a terminal, of a Pty's usual size. Errors: as
// MakePty.
absl::StatusOr<PtyPair> MakeRawPty();

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_PTY_PAIR_H_
