#include "asyncproc/diagnose.h"

#include "asyncproc/internal/end/diagnose_child.h"

namespace asyncproc {

Diagnosis Diagnose(Process& process) {
  return internal::DiagnoseChild(*process.child_);
}

}  // namespace asyncproc
