#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_RAW_MODE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_RAW_MODE_H_

#include <termios.h>

#include "absl/status/status.h"

namespace asyncproc::cli {

// A mode of the user's terminal, in which keys arrive at once and are not
// echoed. The destructor restores the settings.
//
// Thread safety: as a struct.
class RawMode {
 public:
  enum class Keys {
    kAll,         // Every key is read, Ctrl-C and Ctrl-Z too.
    kNotSignals,  // Ctrl-C and Ctrl-Z are signals, and "\n" goes on to "\r\n".
  };

  RawMode() = default;
  ~RawMode() { Leave(); }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

  // Does nothing for a descriptor that is not a terminal. `fd` stays open for
  // the lifetime of this object. Errors: as tcsetattr.
  absl::Status Enter(int fd, Keys keys = Keys::kAll);

  // Does nothing if the mode has not been entered.
  void Leave();

 private:
  absl::Status Set(const termios& settings);

  int fd_ = -1;
  termios saved_ = {};
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_RAW_MODE_H_
