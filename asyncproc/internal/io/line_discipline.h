#ifndef ASYNCPROC_INTERNAL_IO_LINE_DISCIPLINE_H_
#define ASYNCPROC_INTERNAL_IO_LINE_DISCIPLINE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// Follows the line that is being typed into a terminal: the kernel, in
// canonical mode, cuts off what is too long for it without a word, and takes an
// end-of-file character for one only at the start of a line. Keys of raw
// mode belong to no line.
//
// Thread safety: none of its own.
class LineDiscipline {
 public:
  // `data` is about to be typed into the terminal whose master is `fd`.
  // Errors: kInvalidArgument for a line that would be cut off.
  absl::Status Type(int fd, absl::string_view data);

  // What to type for the end of the input: the end-of-file character, twice if
  // the line is not empty, where the first only hands over the line.
  std::string EndOfInput(int fd) const;

 private:
  size_t line_length_ = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_LINE_DISCIPLINE_H_
