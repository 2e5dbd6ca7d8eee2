#include "asyncproc/diagnose.h"

#include "absl/strings/str_cat.h"

namespace asyncproc {

std::ostream& operator<<(std::ostream& out, Activity activity) {
  switch (activity) {
    case Activity::kUnknown:
      break;
    case Activity::kRunning:
      return out << "running";
    case Activity::kReadingStdin:
      return out << "reading stdin";
    case Activity::kWritingOutput:
      return out << "writing output";
    case Activity::kWaitingForChild:
      return out << "waiting for a child";
    case Activity::kWaiting:
      return out << "waiting";
    case Activity::kStuck:
      return out << "stuck";
    case Activity::kStopped:
      return out << "stopped";
    case Activity::kTraced:
      return out << "traced";
    case Activity::kZombie:
      return out << "zombie";
    case Activity::kOutputHeldOpen:
      return out << "output held open";
    case Activity::kEnded:
      return out << "ended";
  }
  return out << "unknown";
}

std::string Diagnosis::ToString() const {
  return absl::StrCat(
      command, command.empty() ? "" : " ", "(pid ", pid, "): ", explanation,
      silent ? "; it has written nothing yet: perhaps it holds back what it "
               "writes to a pipe (let it flush, or give it a pty)"
             : "");
}

std::ostream& operator<<(std::ostream& out, const Diagnosis& diagnosis) {
  return out << diagnosis.ToString();
}

}  // namespace asyncproc
