#ifndef ASYNCPROC_TOOLS_ASYNCPROC_RUN_REPORT_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_RUN_REPORT_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/termination.h"

namespace asyncproc::cli {

// The output on one stream.
struct StreamReport {
  uint64_t bytes = 0;     // Written by the command.
  uint64_t left_out = 0;  // Of those, left out by --keep-head and --keep-tail.
};

// How one command ended, for --report. A value.
struct RunReport {
  std::string command;  // Quoted for a shell.
  std::string host;     // Of --hosts; else empty.
  pid_t pid = 0;
  int exit_code = 0;  // The exit status of the tool for this command.
  std::optional<ExitStatus> status;
  std::string error;  // Why there is no status: the command did not start, say.
  // "timeout", "idle-timeout", "signal" (the tool received one), "then" (the
  // command of --then ended), "lost-output" (the output of a terminal could not
  // be printed). Empty: the command ended by itself.
  std::string ended_because;
  // After an escalation: the step that ended the last process, by its index and
  // in words.
  std::optional<size_t> ended_by_step;
  std::string ended_by;
  std::vector<Survivor> survivors;
  // The processes that still had the output open at the end.
  std::vector<PipeHolder> held_by;
  std::optional<absl::Duration> ready_after;
  std::string ready_line;
  StreamReport out;
  StreamReport err;
};

// One line, without its newline.
std::string ToJson(const RunReport& report);

// A few lines for a person.
std::string ToText(const RunReport& report);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_RUN_REPORT_H_
