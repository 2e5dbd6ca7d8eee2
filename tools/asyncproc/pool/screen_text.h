#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_SCREEN_TEXT_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_SCREEN_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// Text as it is on a terminal: in columns, of which a character may take none,
// one or two.

// `text` without anything that a terminal would obey: escape sequences are
// left out, other control characters become a space, and bytes that are no
// UTF-8 a "?"; with `utf8` false all characters that are no ASCII do.
std::string Printable(absl::string_view text, bool utf8);

// How many columns it takes. REQUIRES: it is Printable.
int ColumnsOf(absl::string_view text);

// The first columns of it, and no more than `columns`; where something is cut
// off, "…" is the last (">" if not `utf8`). REQUIRES: it is Printable.
std::string CutToColumns(absl::string_view text, int columns, bool utf8);

// The same, filled up by spaces to just `columns`.
std::string FitToColumns(absl::string_view text, int columns, bool utf8);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_SCREEN_TEXT_H_
