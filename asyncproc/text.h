#ifndef ASYNCPROC_TEXT_H_
#define ASYNCPROC_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc {

// Text of a child, for messages and logs of the host: a child may write bytes
// that a terminal takes for commands.
//
//   std::string plain = asyncproc::StripControlSequences(line);
//   std::cout << asyncproc::Printable(plain) << "\n";
//
// Thread safety: any thread may call both functions.

// `text` with an escape sequence as of C in place of each control character, of
// each character that changes the direction of the text around it, and of each
// byte that is not UTF-8: "\n", "\x1b". A backslash stays as it is. After
// `most` bytes of `text`, "..." stands for the rest.
std::string Printable(absl::string_view text, size_t most = std::string::npos);

// `text` without the sequences by which programs control a terminal (ECMA-48):
// colours and other CSI sequences, titles and links (OSC), and all others that
// begin with ESC. A sequence that `text` cuts off is left out as well. Other
// control characters stay.
std::string StripControlSequences(absl::string_view text);

}  // namespace asyncproc

#endif  // ASYNCPROC_TEXT_H_
