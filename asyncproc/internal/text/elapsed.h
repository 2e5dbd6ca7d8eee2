#ifndef ASYNCPROC_INTERNAL_TEXT_ELAPSED_H_
#define ASYNCPROC_INTERNAL_TEXT_ELAPSED_H_

#include <string>

#include "absl/time/time.h"

namespace asyncproc::internal {

// An elapsed time for messages: "5.021s", "730us". Rounded to milliseconds from
// 10 ms on, else to microseconds.
std::string FormatElapsed(absl::Duration elapsed);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_ELAPSED_H_
