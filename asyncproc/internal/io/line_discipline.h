#ifndef ASYNCPROC_INTERNAL_IO_LINE_DISCIPLINE_H_
#define ASYNCPROC_INTERNAL_IO_LINE_DISCIPLINE_H_

#include <termios.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// The character of `index` (VINTR, VQUIT, VSUSP or VEOF) in `settings`. Where a
// program has turned it off, the character that the key sends: ^C, ^\, ^Z, ^D.
char ControlCharacter(const termios& settings, int index);

// Tracks the line that is being typed into a terminal. In canonical mode, the
// kernel silently truncates a line that is too long, and recognizes an
// end-of-file character only at the start of a line. In raw mode, keys belong
// to no line.
//
// Thread safety: none of its own.
class LineDiscipline {
 public:
  // Records `data`, which is about to be typed into the terminal with master
  // `fd`.
  // Errors: kInvalidArgument for a line that would be cut off.
  absl::Status Type(int fd, absl::string_view data);

  // The characters to type for end-of-file: the end-of-file character, twice if
  // the line is not empty, because the first one only submits the line.
  std::string EndOfInput(int fd) const;

 private:
  size_t line_length_ = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_LINE_DISCIPLINE_H_
