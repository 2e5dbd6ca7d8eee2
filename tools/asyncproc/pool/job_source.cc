#include "tools/asyncproc/pool/job_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/asyncproc/input.h"
#include "tools/asyncproc/os/mutex_lock.h"

namespace asyncproc::cli {
namespace {

size_t Weight(const std::string& line) { return line.size() + 32; }

}  // namespace

ProductSource::ProductSource(std::vector<LinkedLists> lists)
    : lists_(std::move(lists)) {
  for (const LinkedLists& linked : lists_) {
    int64_t size = std::numeric_limits<int64_t>::max();
    for (const auto& list : linked) {
      size = std::min<int64_t>(size, static_cast<int64_t>(list.size()));
    }
    sizes_.push_back(size);
    if (__builtin_mul_overflow(total_, size, &total_)) {
      total_ = std::numeric_limits<int64_t>::max();
    }
  }
}

absl::StatusOr<std::vector<std::string>> ProductSource::Next() {
  if (next_ >= total_) return absl::OutOfRangeError("no more values");
  int64_t rest = next_++;
  std::vector<int64_t> indices(lists_.size());
  for (size_t i = lists_.size(); i-- > 0;) {
    indices[i] = rest % sizes_[i];
    rest /= sizes_[i];
  }
  std::vector<std::string> values;
  for (size_t i = 0; i < lists_.size(); ++i) {
    for (const auto& list : lists_[i]) {
      values.push_back(list[static_cast<size_t>(indices[i])]);
    }
  }
  return values;
}

absl::StatusOr<std::vector<std::string>> GroupingSource::Next() {
  while (group_.size() < size_) {
    auto values = source_->Next();
    if (absl::IsOutOfRange(values.status()) && !group_.empty()) break;
    if (!values.ok()) return values.status();
    group_.push_back(std::move(values->front()));
  }
  return std::exchange(group_, {});
}

std::optional<int64_t> GroupingSource::total() const {
  const std::optional<int64_t> all = source_->total();
  if (!all.has_value()) return std::nullopt;
  const auto size = static_cast<int64_t>(size_);
  return *all / size + (*all % size > 0 ? 1 : 0);
}

absl::StatusOr<bool> TakeValue(absl::string_view* data, char end,
                               absl::string_view name, std::string* value) {
  const absl::string_view piece = data->substr(0, data->find(end));
  const bool whole = piece.size() < data->size();
  data->remove_prefix(piece.size() + (whole ? 1 : 0));
  if (absl::StrContains(piece, '\0')) {
    return absl::InvalidArgumentError(absl::StrCat(
        name,
        ": a value has a NUL byte, which no command can have: --null is for "
        "values that end with one"));
  }
  absl::StrAppend(value, piece);
  if (value->size() > kLongestInput) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " has a value of more than ", kLongestInput >> 20,
        " MiB: values end with a newline, or with --null by a NUL"));
  }
  return whole;
}

absl::StatusOr<std::unique_ptr<LineSource>> LineSource::Create(
    UniqueFd fd, std::string name, std::function<void()> wake, char end,
    size_t max_bytes) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "a pipe to stop reading");
  }
  std::unique_ptr<LineSource> source(
      new LineSource(std::move(fd), std::move(name), std::move(wake), end,
                     max_bytes, UniqueFd(ends[0]), UniqueFd(ends[1])));
  auto thread =
      Thread::Start("pool-input", [self = source.get()] { self->ReadAll(); });
  if (!thread.ok()) return thread.status();
  source->thread_ = *std::move(thread);
  return source;
}

LineSource::LineSource(UniqueFd fd, std::string name,
                       std::function<void()> wake, char end, size_t max_bytes,
                       UniqueFd stop_read, UniqueFd stop_write)
    : fd_(std::move(fd)),
      name_(std::move(name)),
      end_(end),
      wake_(std::move(wake)),
      max_bytes_(max_bytes),
      stop_read_(std::move(stop_read)),
      stop_write_(std::move(stop_write)) {}

LineSource::~LineSource() {
  {
    MutexLock lock(mu_);
    stopped_ = true;
  }
  stop_write_.Reset();
  thread_.Join();
}

absl::StatusOr<std::vector<std::string>> LineSource::Next() {
  MutexLock lock(mu_);
  if (!lines_.empty()) {
    std::string line = std::move(lines_.front());
    lines_.pop_front();
    bytes_ -= Weight(line);
    return std::vector<std::string>{std::move(line)};
  }
  if (!error_.ok()) return std::exchange(error_, absl::OkStatus());
  if (at_end_) return absl::OutOfRangeError("no more lines");
  starved_ = true;
  return absl::UnavailableError("no line yet");
}

std::optional<int64_t> LineSource::total() const {
  MutexLock lock(mu_);
  return at_end_ ? std::make_optional(seen_) : std::nullopt;
}

void LineSource::ReadAll() {
  std::string buffer(1 << 16, '\0');
  while (AwaitInput()) {
    const ssize_t size = read(fd_.get(), buffer.data(), buffer.size());
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size < 0) {
      return End(
          absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", name_)));
    }
    if (size == 0) {
      if (!line_.empty() && !AddLine(std::move(line_))) return;
      return End(absl::OkStatus());
    }
    if (!Take(absl::string_view(buffer.data(), size))) return;
  }
}

bool LineSource::AwaitInput() {
  pollfd fds[] = {{fd_.get(), POLLIN, 0}, {stop_read_.get(), POLLIN, 0}};
  while (poll(fds, 2, -1) < 0) {
    if (errno == EINTR) continue;
    End(absl::ErrnoToStatus(errno, "waiting for jobs"));
    return false;
  }
  return fds[1].revents == 0;
}

bool LineSource::Take(absl::string_view data) {
  for (;;) {
    const absl::StatusOr<bool> whole = TakeValue(&data, end_, name_, &line_);
    if (!whole.ok()) {
      End(whole.status());
      return false;
    }
    if (!*whole) return true;
    if (!AddLine(std::exchange(line_, std::string()))) return false;
  }
}

bool LineSource::AddLine(std::string line) {
  bool wake;
  {
    MutexLock lock(mu_);
    mu_.Await(absl::Condition(this, &LineSource::HasRoom));
    if (stopped_) return false;
    bytes_ += Weight(line);
    lines_.push_back(std::move(line));
    ++seen_;
    wake = std::exchange(starved_, false);
  }
  if (wake) wake_();
  return true;
}

void LineSource::End(absl::Status status) {
  {
    MutexLock lock(mu_);
    at_end_ = true;
    error_ = std::move(status);
  }
  wake_();
}

}  // namespace asyncproc::cli
