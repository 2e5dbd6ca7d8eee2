#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SESSION_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/asyncproc/repl_language.h"

namespace asyncproc::cli {

// A command of a written session, and its expected reply.
struct SessionStep {
  int line = 0;  // The line on which it begins, from 1.
  std::string statement;
  std::optional<std::string> expected;
};

// Reads a written session, in one of two forms. The first is that of Python's
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
// such a line belongs to the reply. In the second form, each line is a
// statement, and lines that begin with a blank continue the line before. In
// SQL, all lines up to the end of a statement belong to it; in Python, also
// lines such as "else:". Empty lines count only within a statement.
class SessionReader {
 public:
  // The most bytes of a statement, with its expected reply.
  static constexpr size_t kLongest = 64 << 20;

  enum class Form {
    kDoctest,
    kLines,
    // The first line that is not blank tells, with those that have arrived
    // with it: no other is awaited.
    kByFirstLines
  };

  // Returns the next bytes of the session; none at its end.
  using Source = std::function<absl::StatusOr<std::string>()>;

  // `is_stream`: the source may have to wait for a line, so a statement that is
  // known to be complete ends before a line that has not arrived.
  SessionReader(Source source, Form form, bool is_stream, Language language);

  // Each of the following returns the errors of the source;
  // kResourceExhausted for a statement that is too long; kInvalidArgument for
  // the first form in a session whose first lines have the second.
  //
  // The next step; nothing at the end.
  absl::StatusOr<std::optional<SessionStep>> Next();
  // Appends further lines to `step`, the last one, which is not complete.
  // Returns false at the end, and in the first form.
  absl::StatusOr<bool> Extend(SessionStep* step);

  // For a program that asks for each further line. The next line of the session
  // alone is a step, before NextLine appends lines.
  void set_by_line() { by_line_ = true; }
  // Appends the next line to `step`, which is not complete, and returns the
  // line. Nothing as above. An empty line is added to the session where it ends
  // a block of Python.
  absl::StatusOr<std::optional<std::string>> NextLine(SessionStep* step);

 private:
  absl::StatusOr<std::optional<SessionStep>> NextDoctest();
  // Appends to `step` the lines that continue it.
  absl::Status TakeFurther(SessionStep* step);
  // Whether the line after `statement` may continue it, and has arrived or is
  // to be awaited.
  bool ReadsOnAfter(absl::string_view statement) const;
  // Appends the lines that begin with a blank, and the branches of Python.
  absl::Status TakeBlock(SessionStep* step);
  // Appends the next line that is not blank, and the blank lines before it.
  absl::StatusOr<bool> TakeLine(SessionStep* step);
  // The next line, without its end. Valid until the next call.
  absl::StatusOr<std::optional<absl::string_view>> ReadLine();
  // Drops the lines of the steps before, at the beginning of a step.
  void DropRead();

  const Source source_;
  Form form_;
  const bool is_stream_;
  const Language language_;
  bool by_line_ = false;
  bool left_block_ = false;  // An empty line was added last.
  std::string text_;         // Since the beginning of the last step.
  size_t read_ = 0;          // The bytes of it that have been read as lines.
  int line_ = 0;             // The number of lines that have been read.
  bool ended_ = false;
};

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
