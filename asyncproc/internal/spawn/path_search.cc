#include "asyncproc/internal/spawn/path_search.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace asyncproc::internal {

const absl::string_view kDefaultPath = "/bin:/usr/bin";

namespace {

// "", ".", "./", "./." ...
bool IsCurrentDirectory(absl::string_view entry) {
  if (absl::StartsWith(entry, "/")) return false;
  for (absl::string_view part : absl::StrSplit(entry, '/')) {
    if (!part.empty() && part != ".") return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> ProgramCandidates(
    absl::string_view program, const std::optional<std::string>& path) {
  if (absl::StrContains(program, '/')) return {std::string(program)};
  std::vector<std::string> candidates;
  const absl::string_view entries =
      path.has_value() ? absl::string_view(*path) : kDefaultPath;
  for (absl::string_view entry : absl::StrSplit(entries, ':')) {
    if (IsCurrentDirectory(entry)) continue;
    candidates.push_back(absl::StrCat(entry, "/", program));
  }
  return candidates;
}

}  // namespace asyncproc::internal
