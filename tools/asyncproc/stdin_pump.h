#ifndef ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_

#include <memory>
#include <utility>

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
// has ended or has closed its stdin.
//
// Ownership: `process` outlives this object; the destructor waits for its
// thread.
class StdinPump {
 public:
  // Errors: as eventfd; kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<StdinPump>> Start(Process* process);

  ~StdinPump();
  StdinPump(const StdinPump&) = delete;
  StdinPump& operator=(const StdinPump&) = delete;

 private:
  StdinPump(Process* process, UniqueFd stop);

  void Pump();
  bool AwaitInput(int fd) const;

  Process* const process_;
  const UniqueFd stop_;
  const CancellationToken stopped_;
  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
