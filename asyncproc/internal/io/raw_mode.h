#ifndef ASYNCPROC_INTERNAL_IO_RAW_MODE_H_
#define ASYNCPROC_INTERNAL_IO_RAW_MODE_H_

#include <termios.h>

#include "absl/status/status.h"

namespace asyncproc::internal {

// Puts the user's own terminal into raw mode, which passes on every key
// unchanged. The destructor restores its settings.
//
// Thread safety: none of its own.
class RawMode {
 public:
  RawMode() = default;
  ~RawMode() { Leave(); }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

  // Does nothing when `fd` is not a terminal. The caller keeps ownership of
  // `fd`, which must stay open.
  absl::Status Enter(int fd);

  // Restores the settings at once. Does nothing before Enter.
  void Leave();

 private:
  // Keeps typed-ahead input, and does not wait for pending output.
  absl::Status Set(const termios& settings);

  int fd_ = -1;
  termios saved_ = {};
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_RAW_MODE_H_
