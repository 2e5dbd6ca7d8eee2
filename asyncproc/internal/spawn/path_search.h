#ifndef ASYNCPROC_INTERNAL_SPAWN_PATH_SEARCH_H_
#define ASYNCPROC_INTERNAL_SPAWN_PATH_SEARCH_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// The PATH for a child without one: the value of confstr(_CS_PATH).
extern const absl::string_view kDefaultPath;

// The files that `program` may refer to, in search order: `program` itself if
// it has a slash, otherwise one file for each entry of `path`. Empty entries
// and "." are skipped: they would run a program from the current directory.
std::vector<std::string> ProgramCandidates(
    absl::string_view program, const std::optional<std::string>& path);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_PATH_SEARCH_H_
