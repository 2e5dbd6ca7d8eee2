#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_RESULTS_DIRECTORY_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_RESULTS_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/asyncproc/output.h"

namespace asyncproc::cli {

// The files that one job's output goes to.
struct ResultFiles {
  Output out;
  Output err;
};

// Files for the output of each job, where GNU parallel's --results has them:
// DIR/1/FIRST VALUE/2/SECOND VALUE/{stdout,stderr,seq}.
//
// A value that cannot be a name is written with backslashes, as there: "\_" for
// "/", "\\" for "\", "\t" for a tab; and also "\." for ".", "\.." for "..",
// "\e" for nothing, and a long one ends in "\~" and a number of its own. The
// second job of the same values has "\~" and its number behind the last.
//
// Thread safety: none.
// Blocking: as making files does.
class ResultsDirectory {
 public:
  // Makes it when it is not there, and what leads to it.
  static absl::StatusOr<ResultsDirectory> Create(const std::string& path);

  // The path of a job's own folder, which nothing else is in.
  std::string PathFor(int64_t number, const std::vector<std::string>& values);

  // New files; those of an earlier run of it are emptied.
  absl::StatusOr<ResultFiles> Open(int64_t number,
                                   const std::vector<std::string>& values);

 private:
  explicit ResultsDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
  // By the hash of a path, whose it is.
  std::unordered_map<size_t, int64_t> owners_;
};

// One name of a file for any value.
std::string ResultName(absl::string_view value);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_RESULTS_DIRECTORY_H_
