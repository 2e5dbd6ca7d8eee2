#ifndef ASYNCPROC_TOOLS_ASYNCPROC_FLAGS_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_FLAGS_H_

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/termination.h"

// What several subcommands have as options, and the types of their values. A
// flag is global to a program: what two subcommands name alike is defined here,
// once; what only one has, in its own file.

namespace asyncproc::cli {

// A time: "30s", "1h30m", "2d", or a number of seconds: "1.5".
struct TimeSpan {
  absl::Duration value = absl::InfiniteDuration();
};
bool AbslParseFlag(absl::string_view text, TimeSpan* span, std::string* error);
std::string AbslUnparseFlag(const TimeSpan& span);

// A time after which something is given up: as TimeSpan, and "0" is never.
struct TimeLimit {
  absl::Duration value = absl::InfiniteDuration();
};
bool AbslParseFlag(absl::string_view text, TimeLimit* limit,
                   std::string* error);
std::string AbslUnparseFlag(const TimeLimit& limit);

// A time between two events: as TimeSpan, and "0" is none.
struct Pause {
  absl::Duration value;
};
bool AbslParseFlag(absl::string_view text, Pause* pause, std::string* error);
std::string AbslUnparseFlag(const Pause& pause);

// A number of bytes: "4096", "64K", "1M", "2G".
struct ByteSize {
  static constexpr size_t kUnset = std::numeric_limits<size_t>::max();
  size_t value = kUnset;
  bool is_set() const { return value != kUnset; }
};
bool AbslParseFlag(absl::string_view text, ByteSize* size, std::string* error);
std::string AbslUnparseFlag(const ByteSize& size);

// By which steps to end a command: "close,1s:INT,2s:TERM,5s:KILL" closes its
// stdin, sends SIGINT after a second if it is still there then, SIGTERM after
// two more, and so on.
struct EscalationSteps {
  std::vector<EscalationStep> steps;
};
bool AbslParseFlag(absl::string_view text, EscalationSteps* steps,
                   std::string* error);
std::string AbslUnparseFlag(const EscalationSteps& steps);

// "child", "group" or "tree".
struct Scope {
  TerminationScope value = TerminationScope::kTree;
};
bool AbslParseFlag(absl::string_view text, Scope* scope, std::string* error);
std::string AbslUnparseFlag(const Scope& scope);

// "SIGTERM", "SIGRTMIN+2"; "signal 99" for what has no name.
std::string SignalName(int signal);
// "TERM", "SIGTERM", "15", "RTMIN+2"; 0 for what is no signal.
int SignalByName(absl::string_view name);

// --timeout, --idle-timeout, --escalate and --scope.
ChildLimits LimitsFromFlags();
// --escalate and --scope.
Escalation EscalationFromFlags();

}  // namespace asyncproc::cli

ABSL_DECLARE_FLAG(asyncproc::cli::TimeLimit, timeout);
ABSL_DECLARE_FLAG(asyncproc::cli::TimeLimit, idle_timeout);
ABSL_DECLARE_FLAG(asyncproc::cli::EscalationSteps, escalate);
ABSL_DECLARE_FLAG(asyncproc::cli::Scope, scope);
ABSL_DECLARE_FLAG(asyncproc::cli::ByteSize, keep_head);
ABSL_DECLARE_FLAG(asyncproc::cli::ByteSize, keep_tail);
ABSL_DECLARE_FLAG(bool, timestamps);
// "" or "json" or "text".
ABSL_DECLARE_FLAG(std::string, report);
ABSL_DECLARE_FLAG(std::string, record);
// Where to run: "ssh {host}", and "a,b,c".
ABSL_DECLARE_FLAG(std::string, via);
ABSL_DECLARE_FLAG(std::vector<std::string>, hosts);

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_FLAGS_H_
