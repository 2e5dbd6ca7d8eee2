#ifndef ASYNCPROC_INTERNAL_TEXT_PREFIXED_H_
#define ASYNCPROC_INTERNAL_TEXT_PREFIXED_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// An error with "`prefix`: " before its message, and with its payloads; an OK
// status as it is.
absl::Status Prefixed(absl::string_view prefix, const absl::Status& status);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_PREFIXED_H_
