#include "asyncproc/diagnose.h"

namespace asyncproc {

Diagnosis Diagnose(Process& process) { return process.Diagnose(); }

}  // namespace asyncproc
