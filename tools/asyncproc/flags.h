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

// The options that several subcommands share, and the types of their values. A
// flag is global to a program: an option of two subcommands is defined here,
// once; an option of one subcommand, in the file of that subcommand.

namespace asyncproc::cli {

// A time: "30s", "1h30m", "2d", or a number of seconds: "1.5".
struct TimeSpan {
  absl::Duration value = absl::InfiniteDuration();
};
bool AbslParseFlag(absl::string_view text, TimeSpan* span, std::string* error);
std::string AbslUnparseFlag(const TimeSpan& span);

// A time limit: as TimeSpan; "0" is no limit.
struct TimeLimit {
  absl::Duration value = absl::InfiniteDuration();
};
bool AbslParseFlag(absl::string_view text, TimeLimit* limit,
                   std::string* error);
std::string AbslUnparseFlag(const TimeLimit& limit);

// A pause: as TimeSpan; "0" is none.
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

// The steps that end a command: "close,1s:INT,2s:TERM,5s:KILL" closes its
// stdin, sends SIGINT if the command still runs a second later, SIGTERM after
// two more seconds, and so on.
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

// "TERM", "SIGTERM", "15", "RTMIN+2". Returns 0 for any other text.
int SignalByName(absl::string_view name);

// From --timeout, --idle-timeout, --escalate and --scope.
ChildLimits LimitsFromFlags();
// From --escalate and --scope.
Escalation EscalationFromFlags();

}  // namespace asyncproc::cli

ABSL_DECLARE_FLAG(asyncproc::cli::TimeLimit, timeout);
ABSL_DECLARE_FLAG(asyncproc::cli::TimeLimit, idle_timeout);
ABSL_DECLARE_FLAG(asyncproc::cli::EscalationSteps, escalate);
ABSL_DECLARE_FLAG(asyncproc::cli::Scope, scope);
ABSL_DECLARE_FLAG(bool, cgroup);
ABSL_DECLARE_FLAG(asyncproc::cli::Pause, drain);
ABSL_DECLARE_FLAG(asyncproc::cli::ByteSize, keep_head);
ABSL_DECLARE_FLAG(asyncproc::cli::ByteSize, keep_tail);
ABSL_DECLARE_FLAG(bool, timestamps);
// "" or "json" or "text".
ABSL_DECLARE_FLAG(std::string, report);
ABSL_DECLARE_FLAG(std::string, record);
// The hosts of a command: "ssh {host}", and "a,b,c".
ABSL_DECLARE_FLAG(std::string, via);
ABSL_DECLARE_FLAG(std::vector<std::string>, hosts);

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_FLAGS_H_
