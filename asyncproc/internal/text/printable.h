#ifndef ASYNCPROC_INTERNAL_TEXT_PRINTABLE_H_
#define ASYNCPROC_INTERNAL_TEXT_PRINTABLE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// Text for messages. Text of another program's choice (the name of a process, a
// path, an argument, a value of the environment) may hold bytes that a terminal
// takes for commands. Every message of this library that quotes such text
// passes it through one of these functions.

// `text` with an escape sequence as of C in place of each control character, of
// each character that changes the direction of the text around it, and of each
// byte that is not UTF-8: "\n", "\x1b". A backslash stays as it is. Behind
// `most` bytes of `text`, "..." stands for the rest.
std::string Printable(absl::string_view text, size_t most = std::string::npos);

// The word that a POSIX shell takes for `text`: see ShellQuote in command.h.
std::string ShellWord(absl::string_view text);

// The same for messages: if Printable would escape anything of `text`, the form
// $'...' with octal escape sequences, which bash, zsh and ksh read.
std::string PrintableWord(absl::string_view text,
                          size_t most = std::string::npos);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_PRINTABLE_H_
