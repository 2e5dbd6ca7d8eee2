#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_SCREEN_TEXT_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_SCREEN_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// Text on a terminal, measured in columns: a character takes none, one or two.

// `text` without control characters: escape sequences are left out, other
// control characters become a space, and bytes that are not UTF-8 a "?"; with
// `utf8` false, all characters that are not ASCII become a "?".
std::string Printable(absl::string_view text, bool utf8);

// The number of columns of `text`. REQUIRES: it is Printable.
int ColumnsOf(absl::string_view text);

// The beginning of `text`, at most `columns` wide. If it is cut off, "…" (">"
// if not `utf8`) is the last character. REQUIRES: it is Printable.
std::string CutToColumns(absl::string_view text, int columns, bool utf8);

// The same, filled up with spaces to exactly `columns`.
std::string FitToColumns(absl::string_view text, int columns, bool utf8);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_SCREEN_TEXT_H_
