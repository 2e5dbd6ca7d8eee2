#include "asyncproc/internal/wait/open_file.h"

#include <errno.h>
#include <fcntl.h>

#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {

UniqueFd OpenFile(const std::string& path, int flags, mode_t mode,
                  absl::Status* interrupted) {
  for (;;) {
    const int fd = GetOs().Open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EINTR) return AboveStdio(UniqueFd(fd));
    // WithTimeout sends a signal at its deadline.
    *interrupted = CheckWaitScopes();
    if (!interrupted->ok()) return UniqueFd();
  }
}

}  // namespace asyncproc::internal
