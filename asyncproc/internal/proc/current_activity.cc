#include "asyncproc/internal/proc/current_activity.h"

#include <vector>

#include "absl/strings/str_join.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/process.h"

namespace asyncproc::internal {

std::string CurrentActivity(Child& child) {
  std::vector<std::string> texts;
  for (Process* const process : child.processes()) {
    if (process->IsAlive()) texts.push_back(Diagnose(*process).ToString());
  }
  return absl::StrJoin(texts, "; ");
}

}  // namespace asyncproc::internal
