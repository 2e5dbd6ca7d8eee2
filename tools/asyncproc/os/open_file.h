#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_OPEN_FILE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_OPEN_FILE_H_

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// As open with O_CLOEXEC, but a signal that has a handler does not end a wait
// for the other end of a FIFO. Not valid when it fails; errno says why.
inline UniqueFd OpenFile(const char* path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return UniqueFd(fd);
}

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_OPEN_FILE_H_
