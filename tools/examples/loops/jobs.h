#ifndef ASYNCPROC_TOOLS_EXAMPLES_LOOPS_JOBS_H_
#define ASYNCPROC_TOOLS_EXAMPLES_LOOPS_JOBS_H_

#include <string>

#include "absl/status/status.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process_poller.h"

// Four commands, two at a time, of which one has to be ended: the same for the
// event loop of each library. The programs contain the glue to the library.
class Jobs : public asyncproc::BufferingProcessPoller<std::string> {
 public:
  Jobs();

  // Starts, or queues, all of them. Errors: as ProcessPoller::Run.
  absl::Status Start();

  // Called every 10 ms, as the work that the loop has besides.
  void CountTick() { ++ticks_; }

  // Prints the result of each command. `status`: of the last Poll. Returns the
  // exit status of main.
  int Report(const absl::Status& status) const;

 private:
  absl::Status OnTerminate(const std::string& key,
                           const asyncproc::ExitStatus& status) override;

  int ticks_ = 0;
};

#endif  // ASYNCPROC_TOOLS_EXAMPLES_LOOPS_JOBS_H_
