#ifndef ASYNCPROC_EXPECT_H_
#define ASYNCPROC_EXPECT_H_

#include <cstddef>
#include <cstdint>
#include <map>
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
class Conversation;
class InteractionRun;
}  // namespace internal

// An event to wait for: a text in the output, end-of-file or a timeout.
class Pattern {
 public:
  enum class Kind { kLiteral, kRegex, kEof, kTimeout };

  static Pattern Literal(std::string text);
  // `regex` has RE2's syntax (https://github.com/google/re2/wiki/Syntax), and
  // is searched for in the output that has arrived and has not been taken: "^"
  // matches at the beginning of this text, and "$" at its present end, which is
  // seldom useful: write "\r?\n". With (?m) both match at lines, and with (?s)
  // "." matches newlines too. The output is treated as bytes unless `encoding`
  // says otherwise.
  static Pattern Regex(std::string regex,
                       RegexEncoding encoding = RegexEncoding::kBytes);
  // End-of-file of the output.
  static Pattern Eof();
  // No other pattern has matched within the timeout of the call. If an
  // enclosing WithTimeout or CancellationScope ends the call, Await returns an
  // error.
  static Pattern Timeout();

  Kind kind() const { return kind_; }
  // `"text"`, `/regex/`, `EOF`, `TIMEOUT`.
  std::string ToString() const;

 private:
  friend class Expect;
  Pattern(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  Kind kind_;
  std::string text_;
  std::shared_ptr<const RE2> regex_;  // For kRegex.
  std::string required_;              // Part of every match.
};

// The pattern that matched, and its match.
struct Expected {
  size_t index = 0;                 // Of the pattern, in the argument of Await.
  std::string before;               // The text before the match.
  std::string match;                // Empty for EOF and TIMEOUT.
  std::vector<std::string> groups;  // ( ) groups of a regex; "" if unmatched.
  // The number of bytes that a bound dropped (see OutputBound) from `before`,
  // which has the kept bytes on both sides of a gap.
  uint64_t dropped = 0;
};

// Waits for patterns in the output of a child.
//
//   asyncproc::Expect expect(process.get());
//   auto prompt =
//       expect.Await({asyncproc::Pattern::Literal("password: "),
//                     asyncproc::Pattern::Regex("(?m)^(\\w+)\\$ "),
//                     asyncproc::Pattern::Eof()},
//                    absl::Seconds(10));
//   if (!prompt.ok()) return prompt.status();   // Has the text that came.
//   switch (prompt->index) ...
//
// The match that begins first wins; among matches that begin together, the
// pattern that is listed first. Await takes the match and the text before it;
// the text after it stays for the next call.
//
// Await searches the text that has arrived: "[0-9]+" matches "12" although a
// "3" may follow. Let a pattern end with a delimiter, such as the end of the
// line.
//
// Bytes that a bound dropped (see OutputBound) leave a gap in the text. No
// match spans a gap: the text on each side of it is searched as a text of its
// own, in which "$" matches before the gap, and "^" after it. Expected::dropped
// and the messages of errors tell how many bytes are missing.
//
// The time is linear in the size of the output, for all patterns and any sizes
// of its pieces. A match of a regular expression that begins more than
// `lookback` (64 KiB) before the newest bytes may be found later: when the
// output has doubled, falls silent or ends, and at the latest at the deadline.
//
// Memory: an Expect keeps at most `limit` (64 MiB) of text without a match.
// Further output stays in the child's OutputStream, under the bound of
// Command::output_buffer: with OutputBound::BlockChild, a child that writes
// without end has to wait.
//
// Thread safety: one thread at a time.
// Ownership: the child or cursor must outlive the Expect. Other code must not
// read from it meanwhile: the bytes would be missing here.
// Blocking: Await blocks up to its timeout, which WithTimeout and
// CancellationScope shorten. This holds however much the child writes: Await
// checks the clock after every MiB.
class Expect {
 public:
  // Reads the child's stdout, or its terminal.
  explicit Expect(Process* process);
  // The same for a Pipeline or a substitute for a Process.
  explicit Expect(Child* child);
  // Reads from `cursor`, which may be an OutputStream.
  explicit Expect(OutputCursor* cursor);
  Expect(Expect&& other) noexcept;
  ~Expect();

  // Errors: kDeadlineExceeded if nothing has matched and Timeout() is not among
  // the patterns; kOutOfRange if the output has ended and Eof() is not among
  // them. Both messages name the child, the patterns, its state (at a deadline
  // after 10 ms or more, its diagnosis: see Diagnose) and the text that arrived
  // instead; neither takes any text. kInvalidArgument for an empty list, an
  // empty literal or an invalid regular expression. kResourceExhausted if the
  // text without a match has reached the limit, or there is no memory for more:
  // nothing is lost, and the next call goes on once TakeBuffer or another
  // pattern has taken some text. kDeadlineExceeded or kCancelled if a
  // WithTimeout or CancellationScope ends the call, even with Timeout() among
  // the patterns. Also the errors of reading the output.
  absl::StatusOr<Expected> Await(const std::vector<Pattern>& patterns,
                                 absl::Duration timeout);
  absl::StatusOr<Expected> Await(const Pattern& pattern,
                                 absl::Duration timeout);

  // Searches only the last `bytes` of the text; 0, the default: all of it.
  void set_window(size_t bytes) { window_ = bytes; }
  void set_lookback(size_t bytes) { lookback_ = bytes; }
  // The most bytes of text without a match that are kept.
  void set_limit(size_t bytes) { limit_ = bytes; }

  // The text that has arrived and has not been taken; without any sign of a
  // gap.
  absl::string_view buffer() const;
  // Takes that text except the last `keep` bytes, in which a match may begin.
  std::string TakeBuffer(size_t keep = 0);

  // Null unless constructed from a Process.
  Process* process() const { return process_; }

 private:
  friend class internal::Conversation;
  friend class internal::InteractionRun;
  struct Search;

  // The same as Await, up to a time on internal::MonotonicNow's clock.
  absl::StatusOr<Expected> Await(const std::vector<Pattern>& patterns,
                                 absl::Time deadline);
  static absl::Status Validate(const std::vector<Pattern>& patterns);
  // Reads as soon as output is available, until `deadline`: at most `most`
  // bytes, and at most up to the limit.
  absl::Status Fill(absl::Time deadline, size_t most);
  // Reads all that has arrived, without waiting.
  absl::Status FillLast();
  // Searches the new text, part by part: a part ends at a gap.
  bool FindMatch(Search& search, bool whole) const;
  // Takes `size` bytes of the text.
  void Consume(size_t size);
  // The number of bytes dropped in front of the byte at `offset`, in the text
  // that has not been taken.
  uint64_t Dropped(size_t offset) const;
  Expected Take(const Search& search);
  absl::StatusOr<Expected> GiveUp(const std::vector<Pattern>& patterns,
                                  Pattern::Kind outcome,
                                  const absl::Status& why,
                                  absl::Duration waited = absl::ZeroDuration());
  // The child, or the stream, for messages.
  std::string Name() const;
  // The state of the child for messages, after a wait of that length.
  std::string ChildState(absl::Duration waited) const;
  // The end of the text that has not been taken, quoted.
  std::string LastText() const;
  // The message of an Await that fails; `why` follows the patterns.
  std::string Describe(const std::vector<Pattern>& patterns,
                       absl::string_view why,
                       absl::Duration waited = absl::ZeroDuration()) const;

  Child* const child_;                // May be null.
  Process* const process_ = nullptr;  // The same child, or null.
  OutputCursor* const cursor_;
  std::unique_ptr<internal::ByteQueue> buffer_;
  std::string without_room_;  // Read, but not yet in `buffer_`.
  uint64_t taken_ = 0;        // Bytes that have been taken from `buffer_`.
  uint64_t skipped_;          // The cursor's, at the end of `buffer_`.
  // The number of dropped bytes in each gap, by the number of bytes of text in
  // front of it, including the taken ones.
  std::map<uint64_t, uint64_t> gaps_;
  size_t window_ = 0;
  size_t lookback_ = 64 * 1024;
  size_t limit_ = 64 * 1024 * 1024;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_EXPECT_H_
