#include "asyncproc/internal/spawn/pty_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "absl/status/status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {
namespace {

absl::Status Failed(const char* what) {
  const int error = errno;
  // ENOSPC: all pseudo-terminals that the system allows are in use.
  absl::Status status =
      error == ENOSPC
          ? absl::ResourceExhaustedError("no pseudo-terminal is left")
          : absl::ErrnoToStatus(error, what);
  SetSpawnFailure({SpawnStage::kTerminal, error}, &status);
  return status;
}

absl::StatusOr<PtyPair> OpenPair() {
  constexpr int kFlags = O_RDWR | O_NOCTTY | O_CLOEXEC;
  PtyPair pair;
  pair.master = OpenAboveStdio("/dev/ptmx", kFlags);
  if (!pair.master.valid()) return Failed("cannot open a pseudo-terminal");
  if (unlockpt(pair.master.get()) < 0) {
    return Failed("cannot unlock a pseudo-terminal");
  }
  // Opens the slave by its master, not by name: a name may lead to another
  // /dev.
  pair.slave =
      AboveStdio(UniqueFd(ioctl(pair.master.get(), TIOCGPTPEER, kFlags)));
  if (!pair.slave.valid()) {
    return Failed("cannot open the other side of a pseudo-terminal");
  }
  return pair;
}

absl::Status SetSize(const UniqueFd& terminal, const Pty& options) {
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(options.rows);
  size.ws_col = static_cast<unsigned short>(options.columns);
  if (ioctl(terminal.get(), TIOCSWINSZ, &size) == 0) return absl::OkStatus();
  return Failed("cannot set the size of a pseudo-terminal");
}

template <typename Change>
absl::Status ChangeSettings(const UniqueFd& terminal, Change change) {
  termios settings;
  if (tcgetattr(terminal.get(), &settings) == 0) {
    change(settings);
    if (tcsetattr(terminal.get(), TCSANOW, &settings) == 0) {
      return absl::OkStatus();
    }
  }
  return Failed("cannot set up a pseudo-terminal");
}

}  // namespace

absl::StatusOr<PtyPair> MakePty(const Pty& options) {
  absl::StatusOr<PtyPair> pair = OpenPair();
  if (!pair.ok()) return pair;
  if (absl::Status status = SetSize(pair->slave, options); !status.ok()) {
    return status;
  }
  absl::Status status = ChangeSettings(pair->slave, [&](termios& settings) {
    settings.c_iflag |= IUTF8;  // An erase removes a whole character.
    if (!options.echo) settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  });
  if (!status.ok()) return status;
  return pair;
}

absl::StatusOr<PtyPair> MakeRawPty() {
  absl::StatusOr<PtyPair> pair = OpenPair();
  if (!pair.ok()) return pair;
  absl::Status status = SetSize(pair->slave, Pty());
  if (status.ok()) {
    status = ChangeSettings(pair->slave,
                            [](termios& settings) { cfmakeraw(&settings); });
  }
  if (!status.ok()) return status;
  return pair;
}

}  // namespace asyncproc::internal
