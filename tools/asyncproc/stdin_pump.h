#ifndef ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/process.h"
#include "tools/asyncproc/os/thread.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// Copies the tool's own stdin to a child whose stdin is a pipe or a terminal of
// the library. Where the child can inherit stdin, that is better.
//
// Never reads more than the child's pipe has taken, and nothing after the child
// has ended or has closed its stdin. A terminal has no end of its input: after
// that of the tool's stdin, end-of-file is typed each time that the child, or a
// process for which the child waits, waits for its stdin.
//
// Ownership: `process` outlives this object; the destructor waits for its
// thread.
class StdinPump {
 public:
  // Errors: as eventfd; kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<StdinPump>> Start(Process* process);

  ~StdinPump() { Stop(); }
  StdinPump(const StdinPump&) = delete;
  StdinPump& operator=(const StdinPump&) = delete;

  // Ends the copying. Returns whether the child was given all input. It was not
  // if a read failed, if its terminal refused a line that is too long, or if no
  // thread could be started; this has been reported on stderr.
  bool Stop();

 private:
  StdinPump(Process* process, UniqueFd stop);

  void Pump();
  void EndInput();
  // Reports why the child does not get all input, and ends its input.
  void Fail(const absl::Status& status);
  // Waits for `fd`, or without one (-1), until the timeout at the latest.
  // False: the pump is to stop.
  bool AwaitInput(int fd, int timeout_ms) const;

  Process* const process_;
  const UniqueFd stop_;
  const CancellationToken stopped_;
  std::atomic<bool> failed_{false};
  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
