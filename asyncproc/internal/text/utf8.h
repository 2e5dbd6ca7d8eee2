#ifndef ASYNCPROC_INTERNAL_TEXT_UTF8_H_
#define ASYNCPROC_INTERNAL_TEXT_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// As RFC 3629 has it: no surrogates, nothing longer than need be.
bool IsUtf8(absl::string_view bytes);

// How many bytes the character has that `bytes` begin with; 0: they are none,
// or begin with no complete character.
size_t Utf8Size(absl::string_view bytes);

// Makes UTF-8 of bytes that come in pieces: a character that is cut by the end
// of a piece waits for the next one. What is none becomes U+FFFD, one for each
// beginning that cannot be continued, as the Unicode Standard recommends.
//
// Thread safety: none of its own.
class Utf8Joiner {
 public:
  std::string Push(absl::string_view piece);
  // There is no next one.
  std::string Finish();

 private:
  std::string cut_;  // The beginning of a character; 3 bytes at most.
};

// Of bytes that are in one piece.
std::string ToUtf8(absl::string_view bytes);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_UTF8_H_
