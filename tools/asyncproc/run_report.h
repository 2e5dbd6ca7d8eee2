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

// What became of one stream.
struct StreamReport {
  uint64_t bytes = 0;  // That the command wrote.
  uint64_t left_out =
      0;  // Of those, what --keep-head and --keep-tail left out.
};

// How one command ended: what --report shows. A value.
struct RunReport {
  std::string command;  // Quoted for a shell.
  std::string host;     // Of --hosts; else empty.
  pid_t pid = 0;
  int exit_code = 0;  // Of asyncproc for it.
  std::optional<ExitStatus> status;
  std::string error;  // Why there is no status: it was not started, say.
  // "timeout", "idle-timeout", "signal" (asyncproc got one), "then" (the
  // command of --then has ended); empty: it ended by itself.
  std::string ended_because;
  // Where an escalation was begun: the step that ended the last of it, by its
  // index and in words.
  std::optional<size_t> ended_by_step;
  std::string ended_by;
  std::vector<Survivor> survivors;
  // Who still held its output open when it had ended.
  std::vector<PipeHolder> held_by;
  std::optional<absl::Duration> ready_after;
  std::string ready_line;
  StreamReport out;
  StreamReport err;
};

// One line, without its end.
std::string ToJson(const RunReport& report);

// A few lines for a person.
std::string ToText(const RunReport& report);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_RUN_REPORT_H_
