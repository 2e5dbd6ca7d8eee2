#ifndef ASYNCPROC_INTERNAL_SPAWN_PATH_SEARCH_H_
#define ASYNCPROC_INTERNAL_SPAWN_PATH_SEARCH_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// The PATH of a child that has none: what confstr(_CS_PATH) says.
extern const absl::string_view kDefaultPath;

// The files that `program` may be, in the order in which to try them: itself if
// it has a slash, else one for each entry of `path`. Empty entries and ".",
// which would run whatever lies in the current directory, are skipped.
std::vector<std::string> ProgramCandidates(
    absl::string_view program, const std::optional<std::string>& path);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_PATH_SEARCH_H_
