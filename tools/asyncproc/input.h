#ifndef ASYNCPROC_TOOLS_ASYNCPROC_INPUT_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_INPUT_H_

#include <stddef.h>

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/cancellation.h"

namespace asyncproc::cli {

// The most bytes of a value of a job, or of a file that an option names. The
// kernel takes far less as one word of a command: 128 KiB.
inline constexpr size_t kLongestInput = 16 << 20;

// Reads that a cancellation ends. Errors: kCancelled; as read(2), with `name`.

// Returns the next input; empty at its end, and when none has come and `stops`
// returns true.
absl::StatusOr<std::string> ReadSome(
    int fd, const std::string& name, const CancellationToken& token,
    const std::function<bool()>& stops = nullptr);

// Returns the content of the file `path`, the value of `option`. Errors: also
// as open(2); kInvalidArgument for more than kLongestInput bytes.
absl::StatusOr<std::string> ReadFile(absl::string_view option,
                                     const std::string& path,
                                     const CancellationToken& token);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_INPUT_H_
