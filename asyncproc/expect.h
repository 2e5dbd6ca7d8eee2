#ifndef ASYNCPROC_EXPECT_H_
#define ASYNCPROC_EXPECT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"
#include "asyncproc/regex_encoding.h"
#include "re2/re2.h"

namespace asyncproc {

namespace internal {
class ByteQueue;
class InteractionRun;
}  // namespace internal

// One of the things that may happen next.
class Pattern {
 public:
  enum class Kind { kLiteral, kRegex, kEof, kTimeout };

  static Pattern Literal(std::string text);
  // RE2's syntax (https://github.com/google/re2/wiki/Syntax). The text is what
  // has arrived and has not been taken: "^" matches at its beginning, "$" at
  // the end of what has arrived so far, which is seldom what you want: write
  // "\r?\n". With (?m) they match at lines, with (?s) "." matches newlines too.
  // Output is taken for bytes unless `encoding` says otherwise.
  static Pattern Regex(std::string regex,
                       RegexEncoding encoding = RegexEncoding::kBytes);
  // The end of the output.
  static Pattern Eof();
  // That none of the others has happened within the call's own timeout. That a
  // WithTimeout or a CancellationScope around it ends the call is an error.
  static Pattern Timeout();

  Kind kind() const { return kind_; }
  // `"text"`, `/regex/`, `EOF`, `TIMEOUT`.
  std::string ToString() const;

 private:
  friend class Expect;
  Pattern(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  Kind kind_;
  std::string text_;
  std::shared_ptr<const RE2> regex_;  // Of a kRegex.
  std::string required_;              // Stands in all that it matches.
};

// Which of the patterns happened, and where.
struct Expected {
  size_t index = 0;                 // Into the patterns that were waited for.
  std::string before;               // What came before the match.
  std::string match;                // Empty for EOF and TIMEOUT.
  std::vector<std::string> groups;  // Of a regex: what ( ) matched; "" if not.
};

// Waits until a child says something.
//
//   asyncproc::Expect expect(process.get());
//   auto prompt =
//       expect.Await({asyncproc::Pattern::Literal("password: "),
//                     asyncproc::Pattern::Regex("(?m)^(\\w+)\\$ "),
//                     asyncproc::Pattern::Eof()},
//                    absl::Seconds(10));
//   if (!prompt.ok()) return prompt.status();   // It says what came instead.
//   switch (prompt->index) ...
//
// The match that begins first wins; where several begin together, the pattern
// that is listed first. What a match and the text before it took is gone;
// what follows stays for the next call.
//
// Matches are searched for in what has arrived: of "[0-9]+", "12" is one though
// a "3" may be on its way. Let a pattern end with what ends the thing it is
// for.
//
// Time is linear in the output, whatever is waited for and however it arrives.
// A regular expression's match that begins more than `lookback` (64 KiB) before
// the newest bytes is found too, but not always at once: when the output has
// doubled, falls silent or ends, and at the latest when the time is up.
//
// Memory: at most `limit` (64 MiB) of text in which nothing has matched is kept
// here. Further output stays in the child's OutputStream, for which
// Command::output_buffer is the bound: OutputBound::BlockChild lets a child
// that writes without end wait.
//
// Thread safety: one thread at a time.
// Ownership: the child or cursor must outlive it, and must not be read by
// others meanwhile, who would take bytes out of the text.
// Blocking: Await blocks, up to its timeout, which WithTimeout and
// CancellationScope shorten, however much the child writes meanwhile: it looks
// at the clock after every MiB.
class Expect {
 public:
  // Reads the child's stdout, or its terminal.
  explicit Expect(Process* process);
  // The same of a Pipeline, or of what stands in for a Process.
  explicit Expect(Child* child);
  // Reads by `cursor`, which may be an OutputStream.
  explicit Expect(OutputCursor* cursor);
  Expect(Expect&& other) noexcept;
  ~Expect();

  // Errors: kDeadlineExceeded when nothing has matched and Timeout() is not
  // among the patterns, and kOutOfRange likewise for the end and Eof(): both
  // name the patterns, what was there instead, and the state of the child, and
  // take nothing. kInvalidArgument for no pattern, or a regex that is none.
  // kResourceExhausted when the text without a match has reached the limit, and
  // without memory for what has come: nothing is lost, and the next call goes
  // on once TakeBuffer or another pattern has taken some of it. What reading
  // fails with.
  absl::StatusOr<Expected> Await(const std::vector<Pattern>& patterns,
                                 absl::Duration timeout);
  absl::StatusOr<Expected> Await(const Pattern& pattern,
                                 absl::Duration timeout);

  // Searches only the last `bytes` of what has arrived; 0, the default: all.
  void set_window(size_t bytes) { window_ = bytes; }
  void set_lookback(size_t bytes) { lookback_ = bytes; }
  // How much text without a match is kept.
  void set_limit(size_t bytes) { limit_ = bytes; }

  // The text that has arrived and has not been taken.
  absl::string_view buffer() const;
  // Takes that text, but for its last `keep` bytes: a pattern may have begun.
  std::string TakeBuffer(size_t keep = 0);

  // Whose output it is; null when it was made for anything but a Process.
  Process* process() const { return process_; }

 private:
  friend class internal::InteractionRun;
  struct Search;

  static absl::Status Validate(const std::vector<Pattern>& patterns);
  // Reads as soon as there is anything, until `deadline`: `most` bytes, and no
  // more than the limit leaves room for.
  absl::Status Fill(absl::Time deadline, size_t most);
  // Reads all that has arrived, without waiting.
  absl::Status FillLast();
  Expected Take(const Search& search);
  absl::StatusOr<Expected> GiveUp(const std::vector<Pattern>& patterns,
                                  Pattern::Kind outcome, absl::Status why);
  std::string Describe(const std::vector<Pattern>& patterns) const;

  Child* const child_;                // May be null.
  Process* const process_ = nullptr;  // The same, if it is one.
  OutputCursor* const cursor_;
  std::unique_ptr<internal::ByteQueue> buffer_;
  std::string without_room_;  // Read, and to go behind that.
  size_t window_ = 0;
  size_t lookback_ = 64 * 1024;
  size_t limit_ = 64 * 1024 * 1024;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_EXPECT_H_
