#include "tools/asyncproc/line_printer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace asyncproc::cli {

HeadAndTailFilter::HeadAndTailFilter(size_t head, size_t tail, Next next)
    : tail_limit_(tail), next_(std::move(next)), head_left_(head) {}

void HeadAndTailFilter::Feed(absl::string_view bytes) {
  const size_t head = std::min(head_left_, bytes.size());
  if (head > 0) {
    next_(bytes.substr(0, head));
    head_ends_line_ = bytes[head - 1] == '\n';
    if (head_left_ != std::numeric_limits<size_t>::max()) head_left_ -= head;
    bytes.remove_prefix(head);
  }
  if (bytes.empty()) return;
  if (bytes.size() >= tail_limit_) {
    dropped_ += tail_.size() + bytes.size() - tail_limit_;
    tail_.assign(bytes.substr(bytes.size() - tail_limit_));
    return;
  }
  absl::StrAppend(&tail_, bytes);
  // Not at every call, as each erase moves all bytes.
  if (tail_.size() >= 2 * tail_limit_) {
    dropped_ += tail_.size() - tail_limit_;
    tail_.erase(0, tail_.size() - tail_limit_);
  }
}

void HeadAndTailFilter::Finish() {
  if (tail_.size() > tail_limit_) {
    dropped_ += tail_.size() - tail_limit_;
    tail_.erase(0, tail_.size() - tail_limit_);
  }
  if (dropped_ > 0) {
    // A part of a line would look like a whole line.
    const size_t newline = tail_.find('\n');
    if (newline + 1 < tail_.size() && newline != tail_.npos) {
      dropped_ += newline + 1;
      tail_.erase(0, newline + 1);
    }
    next_(absl::StrCat(head_ends_line_ ? "" : "\n", "[... ", dropped_,
                       " bytes left out ...]\n"));
  }
  if (!tail_.empty()) next_(tail_);
  tail_.clear();
}

LinePrinter::LinePrinter(Console* console, Console::Stream stream,
                         LineStyle style)
    : console_(console), stream_(stream), style_(std::move(style)) {}

bool LinePrinter::Print(absl::string_view bytes) {
  if (style_.plain() && !console_->shared()) {
    return console_->Write(stream_, bytes);
  }
  const size_t newline = bytes.rfind('\n');
  if (newline != bytes.npos) {
    std::string whole = std::exchange(line_, "");
    absl::StrAppend(&whole, bytes.substr(0, newline + 1));
    bytes.remove_prefix(newline + 1);
    if (!PrintLines(whole)) return false;
  }
  absl::StrAppend(&line_, bytes);
  if (line_.size() < kLongestLine) return true;
  if (style_.plain()) return Flush();
  // A byte stays, so that the rest of the line is not empty.
  std::string last(1, line_.back());
  line_.pop_back();
  return PrintLines(std::exchange(line_, std::move(last)));
}

bool LinePrinter::Flush() {
  if (!style_.plain()) return true;
  return console_->Write(stream_, std::exchange(line_, ""));
}

bool LinePrinter::Finish() {
  if (style_.plain()) return Flush();
  if (line_.empty()) return true;
  return PrintLines(std::exchange(line_, "") + "\n");
}

std::string LinePrinter::Front() const {
  std::string front;
  if (style_.timestamps) {
    front = absl::FormatTime("%H:%M:%E3S ", absl::Now(), absl::LocalTimeZone());
  }
  if (!style_.prefix.empty()) absl::StrAppend(&front, style_.prefix, ": ");
  return front;
}

bool LinePrinter::PrintLines(absl::string_view bytes) {
  if (style_.plain()) return console_->Write(stream_, bytes);
  const std::string front = Front();
  std::string text;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size() - 1) + 1;
    absl::StrAppend(&text, text.empty() ? "" : front, bytes.substr(0, end));
    bytes.remove_prefix(end);
  }
  return console_->WriteLines(stream_, text, front, this);
}

}  // namespace asyncproc::cli
