#include "asyncproc/monitor.h"

#include <utility>

#include "absl/log/log.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/mutex_lock.h"

namespace asyncproc {

LineLogger::LineLogger(std::string name, absl::LogSeverity severity)
    : name_(std::move(name)), severity_(severity) {}

void LineLogger::operator()(absl::string_view line) const {
  LOG(LEVEL(severity_)) << name_ << ": " << absl::Utf8SafeCEscape(line);
}

ProgressParser::ProgressParser(absl::string_view pattern,
                               std::function<void(const Progress&)> on_progress,
                               Tap rest)
    : pattern_(pattern, RE2::Quiet),
      on_progress_(std::move(on_progress)),
      rest_(std::move(rest)) {}

absl::StatusOr<std::unique_ptr<ProgressParser>> ProgressParser::Create(
    absl::string_view pattern, std::function<void(const Progress&)> on_progress,
    Tap rest) {
  auto parser = absl::WrapUnique(
      new ProgressParser(pattern, std::move(on_progress), std::move(rest)));
  if (!parser->pattern_.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the pattern of progress lines, \"", pattern,
                     "\", is none: ", parser->pattern_.error()));
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
      absl::StrAppend(&line_, piece.substr(0, end));
      if (end == absl::string_view::npos) break;
      after_return_ = piece[end] == '\r';
      EndLine(after_return_, &calls);
      piece.remove_prefix(end + 1);
    }
    LookAhead(&calls);
  }
  CallBack(calls);
}

void ProgressParser::Finish() {
  std::vector<Call> calls;
  {
    internal::MutexLock lock(mu_);
    if (!line_.empty()) EndLine(/*by_return=*/true, &calls);
  }
  CallBack(calls);
}

std::optional<Progress> ProgressParser::Match(absl::string_view line) const {
  const int groups = pattern_.NumberOfCapturingGroups();
  std::vector<absl::string_view> matches(static_cast<size_t>(groups) + 1);
  if (!pattern_.Match(line, 0, line.size(), RE2::UNANCHORED, matches.data(),
                      groups + 1)) {
    return std::nullopt;
  }
  Progress progress;
  progress.line = std::string(line);
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
