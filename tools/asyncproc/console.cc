#include "tools/asyncproc/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/asyncproc/os/mutex_lock.h"

namespace asyncproc::cli {

namespace {

size_t Columns() {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return 80;
  }
  return size.ws_col;
}

// Keeps only characters of one column each: no control characters, and no
// UTF-8, whose width is unknown here.
std::string Plain(absl::string_view text) {
  std::string plain(text);
  for (char& c : plain) {
    if (c < ' ' || c > '~') c = '?';
  }
  return plain;
}

}  // namespace

Console::Console()
    : terminal_{isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1},
      shared_(IsSameFile(STDOUT_FILENO, STDERR_FILENO)),
      bar_(terminal_[kErr]),
      outputs_{&Output::Stdout(), &Output::Stderr()} {}

bool Console::WriteLines(Stream stream, absl::string_view bytes,
                         absl::string_view front, const void* writer) {
  if (bytes.empty()) return true;
  MutexLock lock(MutexOf(stream));
  const void*& unfinished = unfinished_[shared_ ? kOut : stream];
  std::string text;
  if (unfinished != writer || writer == nullptr) {
    text = absl::StrCat(unfinished != nullptr ? "\n" : "", front);
  }
  unfinished = bytes.back() == '\n' ? nullptr : writer;
  if (text.empty()) return WriteLocked(stream, bytes);
  return WriteLocked(stream, absl::StrCat(text, bytes));
}

bool Console::WriteLocked(Stream stream, absl::string_view bytes)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const bool on_terminal = shared_ || stream == kErr;
  std::string with_bar;
  if (on_terminal && bar_ && shown_) {
    with_bar = absl::StrCat(Erasure(), bytes);
    within_line_ = bytes.back() != '\n';
    if (!within_line_) absl::StrAppend(&with_bar, Drawing());
    bytes = with_bar;
  } else if (on_terminal) {
    within_line_ = bytes.back() != '\n';
  }
  return outputs_[stream]->Write(bytes).ok();
}

void Console::Say(absl::string_view line) {
  Write(kErr, absl::StrCat(line, "\n"));
}

void Console::ShowBar(double fraction, absl::string_view text) {
  if (!bar_) return;
  MutexLock lock(mu_);
  shown_ = true;
  fraction_ = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  text_ = Plain(text);
  if (within_line_ || !outputs_[kErr]->status().ok()) return;
  const std::string erasure = Erasure();
  outputs_[kErr]->Write(absl::StrCat(erasure, Drawing())).IgnoreError();
}

void Console::ClearBar() {
  if (!bar_) return;
  MutexLock lock(mu_);
  shown_ = false;
  outputs_[kErr]->Write(Erasure()).IgnoreError();
}

void Console::Resized() {
  if (!bar_) return;
  MutexLock lock(mu_);
  if (drawn_ == 0) return;
  const std::string erasure = Erasure();
  outputs_[kErr]->Write(absl::StrCat(erasure, Drawing())).IgnoreError();
}

std::string Console::Drawing() {
  // The last column stays free: some terminals wrap after it.
  const size_t width = Columns() - 1;
  const std::string percent = absl::StrFormat("%3.0f%%", fraction_ * 100);
  std::string line = absl::StrCat(percent, " ");
  const size_t room = width > line.size() ? width - line.size() : 0;
  if (room >= 12) {
    const size_t bar = std::min<size_t>(room - 2, 30);
    const auto full = static_cast<size_t>(fraction_ * static_cast<double>(bar));
    absl::StrAppend(&line, "[", std::string(full, '#'),
                    std::string(bar - full, ' '), "] ", text_);
  }
  line.resize(std::min(line.size(), width));
  drawn_ = line.size();
  return line;
}

std::string Console::Erasure() {
  if (drawn_ == 0) return "";
  // A terminal that has become narrower has wrapped the bar.
  const size_t rows_above = (drawn_ - 1) / std::max<size_t>(1, Columns());
  drawn_ = 0;
  std::string up;
  if (rows_above > 0) up = absl::StrCat("\033[", rows_above, "A");
  return absl::StrCat("\r", up, "\033[J");
}

}  // namespace asyncproc::cli
