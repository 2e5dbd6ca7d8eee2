#include "asyncproc/monitor.h"

#include <utility>

#include "absl/log/log.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/text/control_sequences.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/regex_options.h"

namespace asyncproc {
namespace {

// A longer line is divided into pieces of this size.
constexpr size_t kLongestLine = 1024 * 1024;

// An unended line up to this size is searched whenever it grows.
constexpr size_t kShortLine = 512;

}  // namespace

LineLogger::LineLogger(std::string name, absl::LogSeverity severity)
    : name_(std::move(name)), severity_(severity) {}

void LineLogger::operator()(absl::string_view line) const {
  LOG(LEVEL(severity_)) << name_ << ": " << internal::Printable(line);
}

ProgressParser::ProgressParser(absl::string_view pattern,
                               std::function<void(const Progress&)> on_progress,
                               Tap rest, const ProgressOptions& options)
    : pattern_(pattern, internal::RegexOptions(options.encoding)),
      keep_control_sequences_(options.keep_control_sequences),
      on_progress_(std::move(on_progress)),
      rest_(std::move(rest)) {}

absl::StatusOr<std::unique_ptr<ProgressParser>> ProgressParser::Create(
    absl::string_view pattern, std::function<void(const Progress&)> on_progress,
    Tap rest, const ProgressOptions& options) {
  auto parser = absl::WrapUnique(new ProgressParser(
      pattern, std::move(on_progress), std::move(rest), options));
  if (!parser->pattern_.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the pattern of progress lines, \"", internal::Printable(pattern),
        "\", is not a regular expression: ", parser->pattern_.error()));
  }
  return parser;
}

void ProgressParser::Feed(absl::string_view piece) {
  std::vector<Call> calls;
  {
    internal::MutexLock lock(mu_);
    while (!piece.empty()) {
      if (std::exchange(after_return_, false) && piece.front() == '\n') {
        piece.remove_prefix(1);
        continue;
      }
      const size_t end = piece.find_first_of("\r\n");
      AddToLine(piece.substr(0, end), &calls);
      if (end == absl::string_view::npos) break;
      after_return_ = piece[end] == '\r';
      EndLine(after_return_, &calls);
      piece.remove_prefix(end + 1);
    }
    LookAhead(&calls);
  }
  CallBack(calls);
}

void ProgressParser::AddToLine(absl::string_view piece,
                               std::vector<Call>* calls) {
  while (line_.size() + piece.size() > kLongestLine) {
    const size_t room = kLongestLine - line_.size();
    absl::StrAppend(&line_, piece.substr(0, room));
    piece.remove_prefix(room);
    EndLine(/*by_return=*/false, calls);
  }
  absl::StrAppend(&line_, piece);
}

void ProgressParser::Finish() {
  std::vector<Call> calls;
  {
    internal::MutexLock lock(mu_);
    if (!line_.empty()) EndLine(/*by_return=*/true, &calls);
  }
  CallBack(calls);
}

std::optional<Progress> ProgressParser::Match(absl::string_view written) const {
  const std::string line = keep_control_sequences_
                               ? std::string(written)
                               : internal::StripControlSequences(written);
  const int groups = pattern_.NumberOfCapturingGroups();
  std::vector<absl::string_view> matches(static_cast<size_t>(groups) + 1);
  if (!pattern_.Match(line, 0, line.size(), RE2::UNANCHORED, matches.data(),
                      groups + 1)) {
    return std::nullopt;
  }
  Progress progress;
  progress.line = line;
  progress.groups.assign(matches.begin() + 1, matches.end());
  double value;
  if (groups > 0 && absl::SimpleAtod(progress.groups[0], &value)) {
    progress.value = value;
  }
  return progress;
}

void ProgressParser::EndLine(bool by_return, std::vector<Call>* calls) {
  const std::string line = std::exchange(line_, "");
  const auto early = std::exchange(early_, std::nullopt);
  next_look_ = 0;
  if (line.empty() && by_return) return;
  if (std::optional<Progress> progress = Match(line)) {
    if (early == progress->groups) return;
    calls->push_back({true, *std::move(progress)});
  } else {
    calls->push_back({false, {line, {}, std::nullopt}});
  }
}

void ProgressParser::LookAhead(std::vector<Call>* calls) {
  if (line_.empty() || early_.has_value()) return;
  // Regardless of the size of the pieces, all searches together cost a constant
  // times the size of the line.
  if (line_.size() < next_look_) return;
  next_look_ = line_.size() <= kShortLine ? 0 : line_.size() + line_.size() / 8;
  std::optional<Progress> progress = Match(line_);
  if (!progress.has_value()) return;
  early_ = progress->groups;
  calls->push_back({true, *std::move(progress)});
}

void ProgressParser::CallBack(const std::vector<Call>& calls) const {
  for (const Call& call : calls) {
    if (call.is_progress) {
      if (on_progress_ != nullptr) on_progress_(call.progress);
    } else if (rest_ != nullptr) {
      rest_(call.progress.line);
    }
  }
}

}  // namespace asyncproc
