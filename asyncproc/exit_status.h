#ifndef ASYNCPROC_EXIT_STATUS_H_
#define ASYNCPROC_EXIT_STATUS_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/time/time.h"

namespace asyncproc {

// The resources that a child used, including those of its own children that it
// waited for.
struct ResourceUsage {
  absl::Duration user_time;
  absl::Duration system_time;
  absl::Duration wall_time;  // From the start until the end was noticed.
  // At least the host's own memory at the start: Linux counts that, too.
  int64_t max_rss_bytes = 0;
};

// How a child ended: it exited with a code, or a signal killed it. The two are
// never confused: exit(9), exit(137) and SIGKILL are three different things.
//
//   if (status->ok()) ...
//   else std::cerr << *status;    // "killed by SIGKILL"
//
// A value: copy it freely. Thread safety: as an int.
class ExitStatus {
 public:
  static ExitStatus Exited(int code);
  static ExitStatus Signaled(int signal, bool core_dumped = false);

  // Exited with code 0.
  bool ok() const { return !signaled() && code_ == 0; }

  bool exited() const { return !signaled(); }
  // 0 to 255. REQUIRES: exited().
  int exit_code() const;

  bool signaled() const { return signal_ != 0; }
  // The signal that killed it. REQUIRES: signaled().
  int term_signal() const;
  bool core_dumped() const { return core_dumped_; }

  // The status as a shell reports it: the code, or 128 + the signal.
  int ShellCode() const { return signaled() ? 128 + signal_ : code_; }

  // False if another process still held the child's output open when this
  // status was reported, and could write more: see OutputStream::holders(). The
  // output of the child itself is complete in either case.
  bool output_complete() const { return output_complete_; }
  void set_output_complete(bool complete) { output_complete_ = complete; }

  const ResourceUsage& usage() const { return usage_; }
  void set_usage(const ResourceUsage& usage) { usage_ = usage; }

  // "exited with status 3", "killed by SIGKILL", "killed by SIGSEGV, core
  // dumped", "killed by SIGRTMIN+2".
  std::string ToString() const;

  // Whether both children exited with the same code, or were killed by the same
  // signal. Ignores core_dumped(), usage() and output_complete().
  friend bool operator==(const ExitStatus& a, const ExitStatus& b) {
    return a.code_ == b.code_ && a.signal_ == b.signal_;
  }
  friend bool operator!=(const ExitStatus& a, const ExitStatus& b) {
    return !(a == b);
  }
  friend std::ostream& operator<<(std::ostream& out, const ExitStatus& status) {
    return out << status.ToString();
  }

 private:
  ExitStatus(int code, int signal, bool core_dumped)
      : code_(code), signal_(signal), core_dumped_(core_dumped) {}

  int code_;
  int signal_;  // 0: it exited.
  bool core_dumped_;
  bool output_complete_ = true;
  ResourceUsage usage_;
};

// "SIGTERM", "SIGRTMIN+2"; "signal 99" for a number without a name.
std::string SignalName(int signal);
// "SIGTERM (terminated)", "SIGRTMIN+2", "signal 99".
std::string SignalDescription(int signal);

}  // namespace asyncproc

#endif  // ASYNCPROC_EXIT_STATUS_H_
