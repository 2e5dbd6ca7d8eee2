#ifndef ASYNCPROC_INTERNAL_WAIT_OPEN_FILE_H_
#define ASYNCPROC_INTERNAL_WAIT_OPEN_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// Opens a file that the user named, closed on exec and above 2. It may be a
// FIFO, and then waits for the FIFO's other end; a signal of the host's does
// not end that wait, but a WaitScope of this thread whose time is up does.
//
// Not valid when it fails: with `interrupted` set where it was a scope, else
// with errno set.
UniqueFd OpenFile(const std::string& path, int flags, mode_t mode,
                  absl::Status* interrupted);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_WAIT_OPEN_FILE_H_
