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

// One bar of a trace.
struct TraceSpan {
  std::string name;
  int row = 0;
  std::string row_name;  // Of the first span of a row.
  absl::Time start;      // On the clock of `origin`.
  absl::Duration length;
  // "ok", or what went wrong: "failed", "timed out". The latter are in the
  // colour of a failure (where the viewer takes colours from a trace), and have
  // a mark at their end.
  std::string outcome = "ok";
  std::vector<std::pair<std::string, std::string>> details;
};

// A file of events over time, in Chrome's format: https://ui.perfetto.dev opens
// it, and chrome://tracing.
//
// The file is whole JSON after each call, also when the program is killed at
// once behind it.
//
// Thread safety: none.
// Blocking: as writes to a file do.
class TraceWriter {
 public:
  // `origin`: what times are counted from.
  // Errors: as open; kInvalidArgument for what is no regular file.
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
  off_t end_ = 0;  // Where the next event goes.
  std::set<int> rows_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_TRACE_WRITER_H_
