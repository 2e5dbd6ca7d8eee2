#include "asyncproc/internal/io/line_discipline.h"

#include <termios.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace asyncproc::internal {
namespace {

constexpr size_t kLongestLine = 4095;  // Without its newline.

bool EndsLine(const termios& settings, char c) {
  if (c == '\n' || c == '\r') return true;
  for (int index : {VEOF, VEOL, VEOL2, VINTR, VQUIT, VSUSP, VKILL}) {
    if (c != '\0' && c == static_cast<char>(settings.c_cc[index])) return true;
  }
  return false;
}

}  // namespace

char ControlCharacter(const termios& settings, int index) {
  if (settings.c_cc[index] != _POSIX_VDISABLE) {
    return static_cast<char>(settings.c_cc[index]);
  }
  switch (index) {
    case VINTR:
      return '\3';
    case VQUIT:
      return '\34';
    case VSUSP:
      return '\32';
    default:
      return '\4';
  }
}

absl::Status LineDiscipline::Type(int fd, absl::string_view data) {
  termios settings = {};
  const bool canonical =
      tcgetattr(fd, &settings) == 0 && (settings.c_lflag & ICANON) != 0;
  if (!canonical) {
    // On return to canonical mode, the terminal makes a separate line of the
    // bytes that the child has not read.
    line_length_ = 0;
    return absl::OkStatus();
  }
  size_t length = line_length_;
  for (const char c : data) {
    length = EndsLine(settings, c) ? 0 : length + 1;
    if (length > kLongestLine) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a line of more than ", kLongestLine,
          " bytes, which the terminal would cut off: it is in canonical mode; "
          "use a pipe, or a raw terminal"));
    }
  }
  line_length_ = length;
  return absl::OkStatus();
}

std::string LineDiscipline::EndOfInput(int fd) const {
  termios settings = {};
  tcgetattr(fd, &settings);  // On failure, all characters are off.
  return std::string(line_length_ > 0 ? 2 : 1,
                     ControlCharacter(settings, VEOF));
}

}  // namespace asyncproc::internal
