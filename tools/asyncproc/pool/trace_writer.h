#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_TRACE_WRITER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_TRACE_WRITER_H_

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tools/asyncproc/output.h"

namespace asyncproc::cli {

// A bar of a trace.
struct TraceSpan {
  std::string name;
  int row = 0;
  std::string row_name;  // Of the first span of a row.
  absl::Time start;      // On the clock of `origin`.
  absl::Duration length;
  // "ok", or the kind of failure: "failed", "timed out". A failure has the
  // colour of failures, if the viewer takes colours from a trace, and a mark at
  // its end.
  std::string outcome = "ok";
  std::vector<std::pair<std::string, std::string>> details;
};

// A file of events over time, in Chrome's format: https://ui.perfetto.dev and
// chrome://tracing open it.
//
// The file is complete JSON after each call, also if the program is killed
// right after it.
//
// Thread safety: none.
// Blocking: as writes to a file do.
class TraceWriter {
 public:
  // `origin`: the zero of all times.
  // Errors: as open; kInvalidArgument if the file is not a regular file.
  static absl::StatusOr<TraceWriter> Create(const std::string& path,
                                            absl::string_view title,
                                            absl::Time origin);

  // Errors: as write.
  absl::Status Add(const TraceSpan& span);

 private:
  TraceWriter(absl::Time origin, Output file)
      : origin_(origin), file_(std::move(file)) {}

  absl::Status Append(absl::string_view events);

  absl::Time origin_;
  Output file_;
  off_t end_ = 0;  // The offset of the next event.
  std::set<int> rows_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_TRACE_WRITER_H_
