#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_VALUES_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_VALUES_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/asyncproc/pool/job_source.h"

namespace asyncproc::cli {

// The words after the options: a command, and the lists of its values or the
// file that holds the values.
struct JobWords {
  std::string command;
  // Empty: the values are the lines of `file`, or of stdin if that is empty.
  std::vector<LinkedLists> lists;
  std::string file;
  char end = '\n';         // Of each value in a file.
  size_t values_each = 1;  // Of one list, for each job.

  // The number of values of each job.
  size_t values() const {
    size_t count = 0;
    for (const LinkedLists& linked : lists) count += linked.size();
    return std::max(values_each, std::max<size_t>(count, 1));
  }
};

// Splits `words` at ":::", ":::+", "::::" and "::::+", into `result`, whose
// `file`, `end` and `values_each` are set. Reads the files that "::::"
// names, but leaves a single list, in one file, to MakeSource.
// Errors: kInvalidArgument; as open and read.
absl::StatusOr<JobWords> SplitWords(const std::vector<std::string>& words,
                                    JobWords result);

// The source of the values. Takes the lists from `words`. `wake`: see
// LineSource. Errors: as open; kResourceExhausted.
absl::StatusOr<std::unique_ptr<JobSource>> MakeSource(
    JobWords* words, std::function<void()> wake);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_VALUES_H_
