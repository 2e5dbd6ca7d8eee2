#ifndef ASYNCPROC_TOOLS_ASYNCPROC_REPL_PROGRAM_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_REPL_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/status/statusor.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/repl.h"

ABSL_DECLARE_FLAG(std::string, preset);
ABSL_DECLARE_FLAG(std::string, prompt);

namespace asyncproc::cli {

// The program of `repl`, by --preset, --dialect, or --prompt, --continuation
// and --terminal.
// `words`: the words after the options.
// Errors: kInvalidArgument; as open(2) and read(2) for the file of --dialect;
// kCancelled.
absl::StatusOr<ReplDialect> DialectFromFlags(
    const std::vector<std::string>& words, const CancellationToken& token);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_REPL_PROGRAM_H_
