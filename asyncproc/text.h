#ifndef ASYNCPROC_TEXT_H_
#define ASYNCPROC_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc {

// Functions that make the text of a child safe for messages and logs of the
// host: a child may write bytes that a terminal interprets as commands.
//
//   std::string plain = asyncproc::StripControlSequences(line);
//   std::cout << asyncproc::Printable(plain) << "\n";
//
// Thread safety: both functions may be called from any thread.

// Returns `text` with a C escape sequence in place of each control character,
// of each character that changes the direction of the text around it, and of
// each byte that is not UTF-8: "\n", "\x1b". A backslash is not escaped. After
// `most` bytes of `text`, "..." stands for the rest.
std::string Printable(absl::string_view text, size_t most = std::string::npos);

// Returns `text` without the sequences by which programs control a terminal
// (ECMA-48): colours and other CSI sequences, titles and links (OSC), and all
// others that begin with ESC. An incomplete sequence at the end of `text` is
// removed as well. Other control characters stay.
std::string StripControlSequences(absl::string_view text);

}  // namespace asyncproc

#endif  // ASYNCPROC_TEXT_H_
