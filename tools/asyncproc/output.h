#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OUTPUT_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OUTPUT_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// Writes all of `bytes` to a descriptor of the tool's own, waiting as long as
// it takes, whether or not the descriptor blocks. Without SIGPIPE if
// that is blocked: see SignalWatcher. Errors: those of write(2).
absl::Status WriteAll(int fd, absl::string_view bytes);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OUTPUT_H_
