#ifndef ASYNCPROC_INTERNAL_TEXT_REQUIRED_TEXT_H_
#define ASYNCPROC_INTERNAL_TEXT_REQUIRED_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// A text that stands in everything that `regex` can match, so that where it is
// not to be found, there is no match to be looked for: "error: " for
// "error: .*\n". The longest that is plain to see; empty if none is.
// REQUIRES: `regex` is a regular expression of RE2's, of either encoding.
std::string RequiredText(absl::string_view regex);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_REQUIRED_TEXT_H_
