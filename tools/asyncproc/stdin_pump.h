#ifndef ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_

#include <memory>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/process.h"

namespace asyncproc::cli {

// Feeds the tool's own stdin to a child whose stdin is a pipe or a terminal of
// the library's; a child that can have stdin itself is better given that.
//
// It never reads ahead of what the child's pipe has taken, and nothing once
// the child has ended or has closed its stdin.
//
// Ownership: `process` outlives it; the destructor waits for its thread.
class StdinPump {
 public:
  // Errors: as eventfd.
  static absl::StatusOr<std::unique_ptr<StdinPump>> Start(Process* process);

  ~StdinPump();
  StdinPump(const StdinPump&) = delete;
  StdinPump& operator=(const StdinPump&) = delete;

 private:
  StdinPump(Process* process, internal::UniqueFd stop);

  void Pump();
  bool AwaitInput() const;

  Process* const process_;
  const internal::UniqueFd stop_;
  const CancellationToken stopped_;
  std::thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_STDIN_PUMP_H_
