#ifndef ASYNCPROC_INTERNAL_END_DIAGNOSE_CHILD_H_
#define ASYNCPROC_INTERNAL_END_DIAGNOSE_CHILD_H_

#include "asyncproc/diagnosis.h"
#include "asyncproc/internal/io/child_io.h"

namespace asyncproc::internal {

// See asyncproc/diagnose.h. Any thread may call it.
Diagnosis DiagnoseChild(ChildIo& child);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_END_DIAGNOSE_CHILD_H_
