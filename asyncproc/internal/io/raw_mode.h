#ifndef ASYNCPROC_INTERNAL_IO_RAW_MODE_H_
#define ASYNCPROC_INTERNAL_IO_RAW_MODE_H_

#include <termios.h>

#include "absl/status/status.h"

namespace asyncproc::internal {

// The user's own terminal passes on every key as it is, until this goes away:
// then its settings are put back.
//
// Thread safety: none of its own.
class RawMode {
 public:
  RawMode() = default;
  ~RawMode() { Leave(); }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

  // Does nothing for what is no terminal. `fd` stays the caller's, and open.
  absl::Status Enter(int fd);

  // At once. Does nothing when it has not been entered.
  void Leave();

 private:
  // Throws away nothing that was typed, and waits for nobody.
  absl::Status Set(const termios& settings);

  int fd_ = -1;
  termios saved_ = {};
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_RAW_MODE_H_
