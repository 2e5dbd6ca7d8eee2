#ifndef ASYNCPROC_TOOLS_ASYNCPROC_LINE_PRINTER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_LINE_PRINTER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "tools/asyncproc/console.h"

namespace asyncproc::cli {

// Passes on the beginning of its input, and, at Finish, the end of the input
// after a line with the number of bytes between them. Keeps no more than those
// last bytes.
//
// Thread safety: none of its own.
class HeadAndTailFilter {
 public:
  using Next = std::function<void(absl::string_view)>;

  // The sizes of the two parts. If `head` is the largest size_t, passes on all
  // input.
  HeadAndTailFilter(size_t head, size_t tail, Next next);

  void Feed(absl::string_view bytes);
  void Finish();

  // The number of bytes left out.
  uint64_t dropped() const { return dropped_; }

 private:
  const size_t tail_limit_;
  const Next next_;
  size_t head_left_;
  bool head_ends_line_ = true;
  std::string tail_;  // Up to twice tail_limit_.
  uint64_t dropped_ = 0;
};

struct LineStyle {
  std::string prefix;       // "build1": lines begin with "build1: ".
  bool timestamps = false;  // "15:04:05.123 "
  bool plain() const { return prefix.empty() && !timestamps; }
};

// Prints one stream of a child on a stream of the console, live. Writes whole
// lines where lines have a prefix or could run into lines of another stream;
// then a last line without its end waits for the end, until Flush is called.
// Else passes on all bytes as they come. Keeps a bounded number of bytes: a
// line that is longer than kLongestLine is printed in pieces, and is still one
// line with one prefix unless another stream prints a line meanwhile.
//
// Thread safety: none of its own.
class LinePrinter {
 public:
  static constexpr size_t kLongestLine = 64 * 1024;

  LinePrinter(Console* console, Console::Stream stream, LineStyle style);

  // False: the output has no reader.
  bool Print(absl::string_view bytes);
  // Shows a line that waits for its end, such as a prompt. A line with a prefix
  // goes on waiting.
  bool Flush();
  // The input is complete: prints the rest, and ends the last line if lines
  // have a prefix.
  bool Finish();

  bool waiting() const { return !line_.empty() && style_.plain(); }

 private:
  std::string Front() const;
  // Prints `bytes`, which begin a line or continue the one of the last call.
  bool PrintLines(absl::string_view bytes);

  Console* const console_;
  const Console::Stream stream_;
  const LineStyle style_;
  std::string line_;  // Without its end.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_LINE_PRINTER_H_
