#ifndef ASYNCPROC_INTERNAL_TEXT_REQUIRED_TEXT_H_
#define ASYNCPROC_INTERNAL_TEXT_REQUIRED_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// A text that every match of `regex` contains: where it does not occur, no
// search for a match is needed. For example, "error: " for "error: .*\n". The
// longest one that is easy to see; empty if there is none.
// REQUIRES: `regex` is a regular expression of RE2's, of either encoding.
std::string RequiredText(absl::string_view regex);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_REQUIRED_TEXT_H_
