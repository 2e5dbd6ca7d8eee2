#include "tools/asyncproc/stream_printer.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace asyncproc::cli {

namespace {

// A line that has no end after this time is taken for a prompt.
constexpr absl::Duration kPromptDelay = absl::Milliseconds(30);
// A longer line is searched in pieces.
constexpr size_t kLongestLine = 1 << 20;

// "45" of 100; "3" of "7" where there are two numbers.
double Fraction(const Progress& progress) {
  double whole = 100;
  if (progress.groups.size() > 1) {
    double second;
    if (absl::SimpleAtod(progress.groups[1], &second) && second > 0) {
      whole = second;
    }
  }
  return progress.value.value_or(0) / whole;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StreamPrinter>> StreamPrinter::Start(
    OutputStream* from, Console* console, Console::Stream to,
    PrintOptions options) {
  auto printer = absl::WrapUnique(
      new StreamPrinter(from, console, to, std::move(options)));
  if (absl::Status status = printer->Prepare(); !status.ok()) return status;
  return printer;
}

StreamPrinter::StreamPrinter(OutputStream* from, Console* console,
                             Console::Stream to, PrintOptions options)
    : from_(from),
      console_(console),
      to_(to),
      options_(std::move(options)),
      printer_(console, to, options_.style),
      filter_(options_.head, options_.tail,
              [this](absl::string_view bytes) { Print(bytes); }) {}

StreamPrinter::~StreamPrinter() { thread_.Join(); }

absl::Status StreamPrinter::Prepare() {
  if (!options_.progress.empty()) {
    auto parser = ProgressParser::Create(
        options_.progress,
        [this](const Progress& progress) { ShowProgress(progress); },
        [this](absl::string_view line) {
          filter_.Feed(absl::StrCat(line, "\n"));
        });
    if (!parser.ok()) return parser.status();
    parser_ = *std::move(parser);
  }
  auto thread = Thread::Start("printer", [this] { Run(); });
  if (!thread.ok()) return thread.status();
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

bool StreamPrinter::AwaitEnd(absl::Duration timeout) const {
  return ended_.WaitForNotificationWithTimeout(timeout);
}

void StreamPrinter::Run() {
  while (true) {
    const auto bytes = from_->ReadSome(
        printer_.waiting() ? kPromptDelay : absl::InfiniteDuration());
    if (absl::IsDeadlineExceeded(bytes.status())) {
      open_ = printer_.Flush() && open_;
    } else if (bytes.ok()) {
      busy_ = true;
      Take(*bytes);
      busy_ = false;
    } else {
      break;
    }
    // If the stream was closed from the start, the command goes on, as it would
    // without asyncproc, and its output is dropped.
    if (!open_ && !console_->WasClosed(to_)) GiveUp();
  }
  if (parser_ != nullptr) parser_->Finish();
  if (!line_.empty()) options_.on_line(line_);
  filter_.Finish();
  printer_.Finish();
  ended_.Notify();
}

void StreamPrinter::Take(absl::string_view bytes) {
  if (options_.on_line != nullptr) TakeLines(bytes);
  if (parser_ != nullptr) {
    parser_->Feed(bytes);
  } else {
    filter_.Feed(bytes);
  }
}

void StreamPrinter::GiveUp() {
  if (options_.on_lost != nullptr) {
    options_.on_lost();
  } else {
    from_->Close();
  }
}

void StreamPrinter::ShowProgress(const Progress& progress) {
  if (progress.groups == last_progress_ && !last_progress_.empty()) return;
  last_progress_ = progress.groups;
  const std::string line(absl::StripAsciiWhitespace(progress.line));
  if (console_->has_bar()) {
    console_->ShowBar(Fraction(progress), line);
  } else {
    console_->Say(line);
  }
}

void StreamPrinter::TakeLines(absl::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    absl::StrAppend(&line_, bytes.substr(0, end));
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    if (end == bytes.npos && line_.size() < kLongestLine) return;
    options_.on_line(absl::StripSuffix(line_, "\r"));
    line_.clear();
  }
}

void StreamPrinter::Print(absl::string_view bytes) {
  if (open_) open_ = printer_.Print(bytes);
  ++printed_;
}

}  // namespace asyncproc::cli
