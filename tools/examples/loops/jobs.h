#ifndef ASYNCPROC_TOOLS_EXAMPLES_LOOPS_JOBS_H_
#define ASYNCPROC_TOOLS_EXAMPLES_LOOPS_JOBS_H_

#include <string>

#include "absl/status/status.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process_poller.h"

// Four commands, two at a time, of which one has to be ended: the same for the
// event loop of each library. What the library has to do is in the programs.
class Jobs : public asyncproc::BufferingProcessPoller<std::string> {
 public:
  Jobs();

  // Starts, or queues, all of them. Errors: as ProcessPoller::Run.
  absl::Status Start();

  // Called every 10 ms, as the work that the loop has besides.
  void CountTick() { ++ticks_; }

  // Prints what became of all. `status`: of the last Poll. Returns how main
  // exits.
  int Report(const absl::Status& status) const;

 private:
  absl::Status OnTerminate(const std::string& key,
                           const asyncproc::ExitStatus& status) override;

  int ticks_ = 0;
};

#endif  // ASYNCPROC_TOOLS_EXAMPLES_LOOPS_JOBS_H_
