#ifndef ASYNCPROC_INTERNAL_TEXT_PRINTABLE_H_
#define ASYNCPROC_INTERNAL_TEXT_PRINTABLE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// Text for messages. Text from another program (the name of a process, a path,
// an argument, a value of the environment) may contain bytes that a terminal
// treats as commands. Every message of this library that quotes such text
// passes it through one of these functions.

// Returns `text` with a C escape sequence for each control character, each
// character that changes the direction of the surrounding text, and each byte
// that is not UTF-8: "\n", "\x1b". A backslash stays unchanged. After `most`
// bytes of `text`, "..." replaces the rest.
std::string Printable(absl::string_view text, size_t most = std::string::npos);

// The word that a POSIX shell reads as `text`: see ShellQuote in command.h.
std::string ShellWord(absl::string_view text);

// As ShellWord, for messages: if Printable would escape any byte of `text`,
// uses the form $'...' with octal escape sequences, which bash, zsh and ksh
// read.
std::string PrintableWord(absl::string_view text,
                          size_t most = std::string::npos);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_PRINTABLE_H_
