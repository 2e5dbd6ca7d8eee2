#ifndef ASYNCPROC_INTERNAL_PROC_CURRENT_ACTIVITY_H_
#define ASYNCPROC_INTERNAL_PROC_CURRENT_ACTIVITY_H_

#include <string>

#include "asyncproc/child.h"

namespace asyncproc::internal {

// For messages: the diagnosis of each process of `child` that has not ended;
// see Diagnose. Empty when there is none, as for a recording.
std::string CurrentActivity(Child& child);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_CURRENT_ACTIVITY_H_
