#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/asyncproc/repl_language.h"

namespace asyncproc::cli {

// A command of a written session, and its expected reply.
struct SessionStep {
  int line = 0;  // The line on which it begins, from 1.
  std::string statement;
  std::optional<std::string> expected;
  // The blank lines before it, with their ends. They count only if the step
  // turns out to continue the one before.
  std::string blank_lines;
};

// A written session, in one of two forms. The first is that of Python's
// doctest: each statement after ">>> ", its further lines after "... ", then
// the expected reply, up to an empty line or the next ">>> ". Any other text is
// prose, and all lines may be indented.
//
//   >>> define f(x) {
//   ...   return 2 * x
//   ... }
//   >>> f(21)
//   42
//
// "<BLANKLINE>" stands for an empty line of a reply. A backslash before ">>> ",
// "... " or "<BLANKLINE>" at the start of a line, after its indent, is removed:
// such a line belongs to the reply. A session without a ">>> " has the second
// form: each line is a statement, and lines that begin with a blank continue
// the line before. In SQL, all lines up to the end of a statement belong to it;
// in Python, also lines such as "else:".
struct SessionScript {
  bool is_doctest = false;
  std::vector<SessionStep> steps;
};
SessionScript ParseSession(absl::string_view text, Language language);

// Makes `further`, the step after `step`, a part of its statement.
void Append(const SessionStep& further, SessionStep* step);

// A step in the first form. ParseSession returns the same statement and reply.
std::string FormatStep(absl::string_view statement, absl::string_view reply);

// Output that belongs to no reply, as prose of the first form.
std::string FormatProse(absl::string_view text);

// Whether doctest would ignore the stderr of a reply, such as warnings: that of
// a Python statement that has not failed.
enum class Stderr { kCounts, kMayBeMissing };

// Whether a reply, stdout and then stderr, matches that of `step`, by doctest's
// rules. The last line need not have its end. Where a traceback is expected,
// the reply must be the same or end with its exception. True matches 1, and
// False matches 0. The directives ELLIPSIS, NORMALIZE_WHITESPACE,
// IGNORE_EXCEPTION_DETAIL and SKIP apply.
bool IsAsExpected(const SessionStep& step, absl::string_view out,
                  absl::string_view err, Stderr rule);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_
