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

// The files of the output of one job.
struct ResultFiles {
  Output out;
  Output err;
};

// Files for the output of each job, at the paths of GNU parallel's --results:
// DIR/1/FIRST VALUE/2/SECOND VALUE/{stdout,stderr,seq}.
//
// A value that cannot be a file name is written with backslashes, as in
// parallel: "\_" for "/", "\\" for "\", "\t" for a tab; also "\." for ".",
// "\.." for "..", "\e" for an empty value. A long value is cut and ends in "\~"
// and a hash. The second job of the same values has "\~" and its number at the
// end.
//
// Thread safety: none.
// Blocking: as making files does.
class ResultsDirectory {
 public:
  // Creates the directory and its parents, if they do not exist.
  static absl::StatusOr<ResultsDirectory> Create(const std::string& path);

  // The path of the job's own directory, which no other job uses.
  std::string PathFor(int64_t number, const std::vector<std::string>& values);

  // Creates the files, or truncates those of an earlier run.
  absl::StatusOr<ResultFiles> Open(int64_t number,
                                   const std::vector<std::string>& values);

 private:
  explicit ResultsDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
  // The number of the job that owns a path, by the hash of the path.
  std::unordered_map<size_t, int64_t> owners_;
};

// A file name for any value.
std::string ResultName(absl::string_view value);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_RESULTS_DIRECTORY_H_
