#include "tools/asyncproc/pool/joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace asyncproc::cli {
namespace {

constexpr absl::string_view kHeader =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
    "\n";

std::string OneLine(absl::string_view command) {
  return absl::StrReplaceAll(command, {{"\n", absl::string_view("\0", 1)}});
}

}  // namespace

std::string FormatJobRecord(const JobRecord& record) {
  return absl::StrCat(
      record.number, "\t", record.host, "\t",
      absl::StrFormat("%.3f\t%10.3f\t",
                      absl::ToDoubleSeconds(record.start - absl::UnixEpoch()),
                      absl::ToDoubleSeconds(record.runtime)),
      record.sent, "\t", record.received, "\t", record.exit_value, "\t",
      record.signal, "\t", OneLine(record.command), "\n");
}

std::optional<JobRecord> ParseJobRecord(absl::string_view line) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(line, absl::MaxSplits('\t', 8));
  JobRecord record;
  double start, runtime;
  if (fields.size() != 9 || !absl::SimpleAtoi(fields[0], &record.number) ||
      !absl::SimpleAtod(fields[2], &start) ||
      !absl::SimpleAtod(fields[3], &runtime) ||
      !absl::SimpleAtoi(fields[4], &record.sent) ||
      !absl::SimpleAtoi(fields[5], &record.received) ||
      !absl::SimpleAtoi(fields[6], &record.exit_value) ||
      !absl::SimpleAtoi(fields[7], &record.signal)) {
    return std::nullopt;
  }
  record.host = std::string(fields[1]);
  record.start = absl::UnixEpoch() + absl::Seconds(start);
  record.runtime = absl::Seconds(runtime);
  record.command = absl::StrReplaceAll(
      fields[8], {{absl::string_view("\0", 1), absl::string_view("\n")}});
  return record;
}

absl::StatusOr<JobLog> JobLog::Open(const std::string& path) {
  JobLog log(path);
  log.fd_.Reset(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (log.fd_.get() < 0) return absl::ErrnoToStatus(errno, path);
  if (flock(log.fd_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": another pool is writing it"));
  }
  return log;
}

absl::StatusOr<JobLog> JobLog::Create(const std::string& path) {
  absl::StatusOr<JobLog> log = Open(path);
  if (!log.ok()) return log;
  // A device, say, has nothing to be cut.
  if (ftruncate(log->fd_.get(), 0) != 0 && errno != EINVAL) {
    return absl::ErrnoToStatus(errno, path);
  }
  absl::Status status = log->Write(kHeader);
  if (!status.ok()) return status;
  return log;
}

absl::StatusOr<JobLog> JobLog::Resume(const std::string& path) {
  absl::StatusOr<JobLog> log = Open(path);
  if (!log.ok()) return log;
  absl::Status status = log->ReadPast();
  if (status.ok() && log->size_ == 0) status = log->Write(kHeader);
  if (!status.ok()) return status;
  return log;
}

absl::Status JobLog::ReadPast() {
  std::string rest, buffer(1 << 16, '\0');
  for (;;) {
    const ssize_t size = read(fd_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, path_);
    if (size == 0) break;
    rest.append(buffer.data(), size);
    size_t from = 0;
    for (size_t end; (end = rest.find('\n', from)) != std::string::npos;) {
      Remember(absl::string_view(rest).substr(from, end - from));
      from = end + 1;
    }
    size_ += from;
    rest.erase(0, from);
  }
  if (ftruncate(fd_.get(), size_) != 0)
    return absl::ErrnoToStatus(errno, path_);
  lseek(fd_.get(), size_, SEEK_SET);
  return absl::OkStatus();
}

void JobLog::Remember(absl::string_view line) {
  const std::optional<JobRecord> record = ParseJobRecord(line);
  if (!record.has_value()) return;
  past_[record->number] = {record->ok(), absl::HashOf(record->command)};
}

absl::StatusOr<JobLog::Past> JobLog::Find(
    int64_t number, const std::optional<std::string>& command) const {
  const auto found = past_.find(number);
  if (found == past_.end()) return Past::kNone;
  if (command.has_value() && found->second.command != absl::HashOf(*command)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": it has another command for job ", number,
                     ": these are not the jobs of that log"));
  }
  return found->second.ok ? Past::kOk : Past::kFailed;
}

absl::Status JobLog::Append(const JobRecord& record) {
  return Write(FormatJobRecord(record));
}

absl::Status JobLog::Write(absl::string_view text) {
  absl::string_view left = text;
  while (!left.empty()) {
    const ssize_t size = write(fd_.get(), left.data(), left.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      absl::Status status = absl::ErrnoToStatus(errno, path_);
      // The next line is to begin where this one did.
      if (ftruncate(fd_.get(), size_) == 0) lseek(fd_.get(), size_, SEEK_SET);
      return status;
    }
    left.remove_prefix(size);
  }
  size_ += text.size();
  return absl::OkStatus();
}

}  // namespace asyncproc::cli
