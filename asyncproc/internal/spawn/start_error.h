#ifndef ASYNCPROC_INTERNAL_SPAWN_START_ERROR_H_
#define ASYNCPROC_INTERNAL_SPAWN_START_ERROR_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/spawn/spawn.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {

// The errors of a start, in words: "cannot start sort: open words: ...". Each
// has the SpawnFailure of its cause.

// `why`, with its SpawnFailure, prefixed with the name of the command.
absl::Status CannotStart(const Command& command, const absl::Status& why);

// The error of the system call of `failure`. `remedy`: the user's remedy, after
// "; "; or empty.
absl::Status StartFailed(const Command& command, SpawnFailure failure,
                         absl::string_view action,
                         absl::string_view remedy = "");

// `status` is the error of an operation in the host, and carries its errno.
absl::Status StartFailed(const Command& command, SpawnStage stage,
                         const absl::Status& status);

// The error of a child that could not be made, or that failed before it ran its
// program. `path`: the PATH in which the program was searched for.
absl::Status ChildFailed(const Command& command, const SpawnRequest& request,
                         const SpawnResult& result,
                         const std::optional<std::string>& path);

// A word of the command, quoted where that is necessary.
std::string ShownWord(absl::string_view word);

// The program that is run: a name to search for, or a path.
const std::string& ProgramOf(const Command& command);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_START_ERROR_H_
