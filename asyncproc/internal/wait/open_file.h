#ifndef ASYNCPROC_INTERNAL_WAIT_OPEN_FILE_H_
#define ASYNCPROC_INTERNAL_WAIT_OPEN_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// Opens a file named by the user, closed on exec and above 2. If it is a FIFO,
// waits for the FIFO's other end; a signal of the host does not end that wait,
// but an expired WaitScope of this thread does.
//
// On failure, the result is not valid: `interrupted` is set if a scope ended
// the wait, otherwise errno is set.
UniqueFd OpenFile(const std::string& path, int flags, mode_t mode,
                  absl::Status* interrupted);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_WAIT_OPEN_FILE_H_
