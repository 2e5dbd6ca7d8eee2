#include "asyncproc/internal/text/control_sequences.h"

#include <cstddef>

#include "absl/strings/str_cat.h"

namespace asyncproc::internal {
namespace {

constexpr char kEscape = '\x1b';
constexpr char kBell = '\a';

// Returns the first index from `at` on of a character outside `low` to `high`.
size_t Skip(absl::string_view text, size_t at, char low, char high) {
  while (at < text.size() && low <= text[at] && text[at] <= high) ++at;
  return at;
}

// The size of a sequence that ends with ESC \, or with BEL, which xterm accepts
// too. Another ESC, or the end of the line, ends an incomplete sequence.
size_t StringSize(absl::string_view text) {
  const size_t end = text.find_first_of("\a\x1b\n\r", 2);
  if (end == absl::string_view::npos) return text.size();
  if (text[end] == kBell) return end + 1;
  return text.substr(end, 2) == "\x1b\\" ? end + 2 : end;
}

// The size of the sequence at the start of `text`, including ESC.
size_t SequenceSize(absl::string_view text) {
  if (text.size() < 2) return text.size();
  size_t at;
  switch (text[1]) {
    case '[':  // Parameters, intermediate bytes, and a final one.
      at = Skip(text, 2, '\x30', '\x3f');
      at = Skip(text, at, '\x20', '\x2f');
      return Skip(text.substr(0, at + 1), at, '\x40', '\x7e');
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
      return StringSize(text);
    default:
      at = Skip(text, 1, '\x20', '\x2f');
      return Skip(text.substr(0, at + 1), at, '\x30', '\x7e');
  }
}

}  // namespace

std::string StripControlSequences(absl::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const size_t escape = text.find(kEscape);
    absl::StrAppend(&plain, text.substr(0, escape));
    if (escape == absl::string_view::npos) break;
    text.remove_prefix(escape);
    text.remove_prefix(SequenceSize(text));
  }
  return plain;
}

}  // namespace asyncproc::internal
