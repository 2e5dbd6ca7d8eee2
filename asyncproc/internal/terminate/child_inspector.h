#ifndef ASYNCPROC_INTERNAL_TERMINATE_CHILD_INSPECTOR_H_
#define ASYNCPROC_INTERNAL_TERMINATE_CHILD_INSPECTOR_H_

#include "asyncproc/diagnose.h"
#include "asyncproc/internal/io/child_process.h"

namespace asyncproc::internal {

// See asyncproc/diagnose.h. May be called from any thread.
Diagnosis DiagnoseChild(ChildProcess& child);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TERMINATE_CHILD_INSPECTOR_H_
