#include "tools/asyncproc/pool/joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tools/asyncproc/os/proc.h"

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
  absl::StatusOr<Output> file = Output::Open(path, O_RDWR);
  if (!file.ok()) return file.status();
  if (flock(file->fd(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": another pool is writing it"));
  }
  return JobLog(*std::move(file));
}

JobLog::~JobLog() {
  // An object that has been moved from has no file.
  if (file_.fd() < 0 || !notes_.has_value()) return;
  if (running_.empty() && cut_off_.empty()) unlink(NotesPath().c_str());
}

absl::StatusOr<JobLog> JobLog::Create(const std::string& path) {
  absl::StatusOr<JobLog> log = Open(path);
  if (!log.ok()) return log;
  // A device, say, cannot be truncated.
  if (ftruncate(log->file_.fd(), 0) != 0 && errno != EINVAL) {
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
  log->ReadNotes();
  return log;
}

absl::Status JobLog::ReadPast() {
  std::string rest, buffer(1 << 16, '\0');
  const int fd = file_.fd();
  bool has_header = false;
  for (;;) {
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, path_);
    if (size == 0) break;
    rest.append(buffer.data(), static_cast<size_t>(size));
    // A torn header is the beginning of one.
    const size_t compared = std::min(rest.size(), kHeader.size());
    if (!has_header &&
        rest.substr(0, compared) != kHeader.substr(0, compared)) {
      return absl::FailedPreconditionError(
          absl::StrCat(path_,
                       ": this is not a job log: its first line is not "
                       "that of --joblog"));
    }
    has_header = true;
    size_t from = 0;
    for (size_t end; (end = rest.find('\n', from)) != std::string::npos;) {
      Remember(absl::string_view(rest).substr(from, end - from));
      from = end + 1;
    }
    size_ += static_cast<int64_t>(from);
    rest.erase(0, from);
    has_header = size_ > 0;
  }
  if (ftruncate(fd, size_) != 0 && errno != EINVAL) {
    return absl::ErrnoToStatus(errno, path_);
  }
  lseek(fd, size_, SEEK_SET);
  return absl::OkStatus();
}

void JobLog::ReadNotes() {
  for (absl::string_view line :
       absl::StrSplit(ReadProcFile(NotesPath()), '\n')) {
    const bool starts = absl::ConsumePrefix(&line, "+");
    int64_t number;
    if ((!starts && !absl::ConsumePrefix(&line, "-")) ||
        !absl::SimpleAtoi(line, &number)) {
      continue;
    }
    if (starts) {
      cut_off_.insert(number);
    } else {
      cut_off_.erase(number);
    }
  }
  for (int64_t number : cut_off_) past_.erase(number);
}

absl::Status JobLog::Note(char what, int64_t number) {
  if (!notes_.has_value()) {
    struct stat status;
    if (fstat(file_.fd(), &status) != 0 || !S_ISREG(status.st_mode)) {
      return absl::OkStatus();  // There is no resuming from a device.
    }
    absl::StatusOr<Output> notes =
        Output::Open(NotesPath(), O_WRONLY | O_TRUNC | O_APPEND);
    if (!notes.ok()) return notes.status();
    notes_ = *std::move(notes);
    // The jobs that are to run again are still cut off: this run may be killed,
    // too.
    for (int64_t cut_off : cut_off_) {
      absl::Status status = notes_->Write(absl::StrCat("+", cut_off, "\n"));
      if (!status.ok()) return status;
    }
  }
  return notes_->Write(absl::StrCat(absl::string_view(&what, 1), number, "\n"));
}

absl::Status JobLog::NoteStart(int64_t number) {
  running_.insert(number);
  return Note('+', number);
}

absl::Status JobLog::NoteEnd(int64_t number) {
  cut_off_.erase(number);
  if (running_.erase(number) == 0) return absl::OkStatus();
  return Note('-', number);
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
  absl::Status status = Write(FormatJobRecord(record));
  return status.ok() ? NoteEnd(record.number) : status;
}

absl::Status JobLog::Write(absl::string_view text) {
  absl::Status status = file_.Write(text);
  if (status.ok()) {
    size_ += static_cast<int64_t>(text.size());
    return status;
  }
  // The next line is to begin where this one began.
  if (ftruncate(file_.fd(), size_) == 0) {
    lseek(file_.fd(), size_, SEEK_SET);
    file_.ForgetError();
  }
  return status;
}

}  // namespace asyncproc::cli
