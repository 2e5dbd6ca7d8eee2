#include "asyncproc/internal/proc/signal_action.h"

#include <signal.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/proc/proc_file.h"

namespace asyncproc::internal {

SignalAction ReadSignalAction(pid_t pid, int signal) {
  if (signal < 1 || signal > SIGRTMAX) return SignalAction::kUnknown;
  const std::string text = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  bool pending = false, blocked = false, ignored = false, caught = false;
  bool known = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    uint64_t set;
    if (!absl::SimpleHexAtoi(absl::StripAsciiWhitespace(field.second), &set)) {
      continue;
    }
    const bool member = (set >> (signal - 1) & 1) != 0;
    if (field.first == "SigPnd" || field.first == "ShdPnd") pending |= member;
    if (field.first == "SigBlk") blocked = member;
    if (field.first == "SigIgn") ignored = member;
    if (field.first == "SigCgt") {
      caught = member;
      known = true;
    }
  }
  if (!known) return SignalAction::kUnknown;
  if (pending) return SignalAction::kPending;
  if (ignored) return SignalAction::kIgnored;
  if (!caught) return SignalAction::kDefault;
  return blocked ? SignalAction::kBlocked : SignalAction::kCaught;
}

}  // namespace asyncproc::internal
