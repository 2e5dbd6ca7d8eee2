#ifndef ASYNCPROC_INTERNAL_TEXT_UTF8_H_
#define ASYNCPROC_INTERNAL_TEXT_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// Whether `bytes` are UTF-8 as in RFC 3629: no surrogates, no overlong forms.
bool IsUtf8(absl::string_view bytes);

// The size of the character at the start of `bytes`; 0 if they are empty, or do
// not start with a complete character.
size_t Utf8Size(absl::string_view bytes);

// Converts bytes that arrive in pieces to UTF-8: a character that is cut off by
// the end of a piece waits for the next piece. Each invalid sequence becomes
// one U+FFFD, up to the first byte that cannot continue it, as the Unicode
// Standard recommends.
//
// Thread safety: none of its own.
class Utf8Joiner {
 public:
  std::string Push(absl::string_view piece);
  // No more pieces follow.
  std::string Finish();

 private:
  std::string cut_;  // The start of a character; 3 bytes at most.
};

// Converts bytes in one piece.
std::string ToUtf8(absl::string_view bytes);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_UTF8_H_
