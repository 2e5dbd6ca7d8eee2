#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// A command of a session that is written down, and what is to come of it.
struct SessionStep {
  int line = 0;  // Where it begins, from 1.
  std::string statement;
  std::optional<std::string> expected;
};

// A session in one of two forms. As Python's doctest has it: each statement
// behind ">>> ", its further lines behind "... ", then what is expected, up to
// an empty line or the next ">>> "; all else is prose, and all may be indented.
//
//   >>> define f(x) {
//   ...   return 2 * x
//   ... }
//   >>> f(21)
//   42
//
// "<BLANKLINE>" stands for an empty line of a reply. Without a ">>> ", each
// line is a statement, and lines that begin with a blank continue the one
// before.
struct SessionScript {
  bool is_doctest = false;
  std::vector<SessionStep> steps;
};
SessionScript ParseSession(absl::string_view text);

// A step as the first form has it.
std::string FormatStep(absl::string_view statement, absl::string_view reply);

// Whether a reply is what `step` expects, by doctest's rules. That the last
// line has an end is not asked for. Where a traceback is expected, the reply
// must end with its exception. True may come for 1, and False for 0. The
// directives ELLIPSIS, NORMALIZE_WHITESPACE, IGNORE_EXCEPTION_DETAIL and SKIP
// hold.
bool IsAsExpected(const SessionStep& step, absl::string_view out,
                  absl::string_view err);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_
