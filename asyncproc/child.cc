#include "asyncproc/child.h"

namespace asyncproc {

std::ostream& operator<<(std::ostream& out, ProcessState state) {
  switch (state) {
    case ProcessState::kRunning:
      return out << "running";
    case ProcessState::kStopped:
      return out << "stopped";
    case ProcessState::kDraining:
      return out << "draining";
    case ProcessState::kDrained:
      return out << "drained";
    case ProcessState::kAbandoned:
      return out << "abandoned";
  }
  return out << "unknown";
}

std::ostream& operator<<(std::ostream& out, const Child& child) {
  return out << child.DebugString();
}

}  // namespace asyncproc
