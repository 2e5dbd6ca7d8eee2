#include "asyncproc/exit_status.h"

#include <signal.h>
#include <string.h>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"

namespace asyncproc {

ExitStatus ExitStatus::Exited(int code) { return ExitStatus(code, 0, false); }

ExitStatus ExitStatus::Signaled(int signal, bool core_dumped) {
  return ExitStatus(0, signal, core_dumped);
}

int ExitStatus::exit_code() const {
  CHECK(exited()) << "no exit code: " << ToString();
  return code_;
}

int ExitStatus::term_signal() const {
  CHECK(signaled()) << "no signal: " << ToString();
  return signal_;
}

std::string ExitStatus::ToString() const {
  if (exited()) return absl::StrCat("exit status ", code_);
  return absl::StrCat("signal ", signal_, " (", SignalDescription(signal_),
                      core_dumped_ ? ", core dumped)" : ")");
}

std::string SignalDescription(int signal) {
  // The C library's SIGRTMIN is a call, and leaves out two signals of the
  // kernel.
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) {
    return signal == SIGRTMIN ? "SIGRTMIN"
                              : absl::StrCat("SIGRTMIN+", signal - SIGRTMIN);
  }
  const char* const description = sigdescr_np(signal);
  return description != nullptr ? description
                                : absl::StrCat("unknown signal ", signal);
}

}  // namespace asyncproc
