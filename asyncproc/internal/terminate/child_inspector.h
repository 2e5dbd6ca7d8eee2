#ifndef ASYNCPROC_INTERNAL_TERMINATE_CHILD_INSPECTOR_H_
#define ASYNCPROC_INTERNAL_TERMINATE_CHILD_INSPECTOR_H_

#include "absl/time/time.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/io/child_process.h"

namespace asyncproc::internal {

// The error of a shorter wait has no diagnosis: the wait is a step of a loop.
inline constexpr absl::Duration kWorthDiagnosing = absl::Milliseconds(10);

// See asyncproc/diagnose.h. May be called from any thread.
Diagnosis DiagnoseChild(ChildProcess& child);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TERMINATE_CHILD_INSPECTOR_H_
