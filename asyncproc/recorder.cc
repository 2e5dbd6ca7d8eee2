#include "asyncproc/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/transcript/asciicast.h"
#include "asyncproc/internal/transcript/json_lines.h"

namespace asyncproc {

using internal::MonotonicNow;
using Kind = TranscriptEvent::Kind;

namespace {

// Empties a file, and makes it one that nobody else may read; a device or a
// pipe stays as it is.
bool MakeOwn(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) return false;
  return !S_ISREG(info.st_mode) ||
         (fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0);
}

}  // namespace

std::shared_ptr<Recorder> Recorder::InMemory() {
  return absl::WrapUnique(new Recorder("", internal::UniqueFd(), nullptr));
}

absl::StatusOr<std::shared_ptr<Recorder>> Recorder::ToFile(
    const std::string& path, TranscriptFormat format) {
  // Where there is a file already, it is emptied only when nobody else may read
  // it. Not a descriptor that a child takes for a standard stream of this
  // program's.
  internal::UniqueFd fd = internal::MoveToHighFd(internal::UniqueFd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
  if (!fd.valid() || !MakeOwn(fd.get())) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot record to ", path));
  }
  std::shared_ptr<Recorder> recorder = absl::WrapUnique(new Recorder(
      path, std::move(fd),
      format == TranscriptFormat::kAsciinema ? internal::NewAsciicastWriter()
                                             : internal::NewJsonLinesWriter()));
  absl::StatusOr<internal::Thread> thread = internal::Thread::Start(
      "asyncproc-rec", [recorder = recorder.get()] { recorder->WriteAll(); });
  if (!thread.ok()) return thread.status();
  internal::MutexLock lock(recorder->closing_);
  recorder->thread_ = *std::move(thread);
  return recorder;
}

Recorder::Recorder(std::string path, internal::UniqueFd fd,
                   std::unique_ptr<internal::TranscriptWriter> writer)
    : path_(std::move(path)),
      to_file_(writer != nullptr),
      fd_(std::move(fd)),
      writer_(std::move(writer)) {}

Recorder::~Recorder() { Close().IgnoreError(); }

absl::Status Recorder::Attach(Process& process) {
  return process.Observe(shared_from_this());
}

absl::Status Recorder::OnStart(const Command& command) {
  internal::MutexLock lock(mu_);
  if (closed_ || started_) {
    return absl::FailedPreconditionError(
        closed_ ? "its recorder has been closed"
                : absl::StrCat("its recorder has recorded another child: ",
                               header_.command));
  }
  started_ = true;
  begin_ = MonotonicNow();
  header_.command = command.DebugString();
  header_.start = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  header_.terminal.reset();
  if (command.pty.has_value()) {
    header_.terminal = TerminalSize{command.pty->rows, command.pty->columns};
  }
  return absl::OkStatus();
}

void Recorder::OnStartFailed() {
  internal::MutexLock lock(mu_);
  started_ = false;
}

void Recorder::Note(TranscriptEvent event) {
  internal::MutexLock lock(mu_);
  if (closed_ || !started_ || !failure_.ok()) return;
  event.time = absl::Trunc(MonotonicNow() - begin_, absl::Microseconds(1));
  events_.push_back(std::move(event));
}

void Recorder::NoteData(Kind kind, absl::string_view data) {
  TranscriptEvent event;
  event.kind = kind;
  event.data = std::string(data);
  Note(std::move(event));
}

void Recorder::Mark(absl::string_view label) { NoteData(Kind::kMark, label); }

void Recorder::OnInput(absl::string_view bytes) { NoteData(Kind::kIn, bytes); }

void Recorder::OnInputClosed() { NoteData(Kind::kInClosed, ""); }

void Recorder::OnInputBroken() { NoteData(Kind::kInBroken, ""); }

void Recorder::OnOutput(ChildStream stream, absl::string_view bytes) {
  NoteData(stream == ChildStream::kOut ? Kind::kOut : Kind::kErr, bytes);
}

void Recorder::OnOutputClosed(ChildStream stream) {
  NoteData(stream == ChildStream::kOut ? Kind::kOutClosed : Kind::kErrClosed,
           "");
}

void Recorder::OnLetters(absl::string_view letters) {
  NoteData(Kind::kLetters, letters);
}

void Recorder::OnSignal(int signal, TerminationScope scope) {
  TranscriptEvent event;
  event.kind = Kind::kSignal;
  event.signal = signal;
  event.scope = scope;
  Note(std::move(event));
}

void Recorder::OnResize(int rows, int columns) {
  TranscriptEvent event;
  event.kind = Kind::kResize;
  event.size = {rows, columns};
  Note(std::move(event));
}

void Recorder::OnExit(const absl::StatusOr<ExitStatus>& status) {
  TranscriptEvent event;
  event.kind = Kind::kExit;
  if (status.ok()) {
    event.status = *status;
  } else {
    event.data = std::string(status.status().message());
  }
  Note(std::move(event));
}

Transcript Recorder::transcript() const {
  internal::MutexLock lock(mu_);
  if (to_file_) return {};
  return {header_, events_};
}

absl::Status Recorder::Close() {
  {
    internal::MutexLock lock(mu_);
    closed_ = true;
  }
  {
    internal::MutexLock lock(closing_);
    thread_.Join();
  }
  internal::MutexLock lock(mu_);
  return failure_;
}

void Recorder::WriteAll() {
  const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return closed_ || !events_.empty();
  };
  bool begun = false;
  for (bool last = false; !last;) {
    std::vector<TranscriptEvent> events;
    TranscriptHeader header;
    {
      internal::MutexLock lock(mu_);
      mu_.Await(absl::Condition(&due));
      last = closed_;
      events.swap(events_);
      header = header_;
    }
    std::string lines;
    if (!std::exchange(begun, true)) lines = writer_->Begin(header);
    for (const TranscriptEvent& event : events) lines += writer_->Write(event);
    if (last) lines += writer_->End();
    absl::Status status = Write(lines);
    if (status.ok()) continue;
    internal::MutexLock lock(mu_);
    failure_ = std::move(status);
    events_.clear();
    return;
  }
}

absl::Status Recorder::Write(const std::string& lines) {
  absl::string_view rest = lines;
  while (!rest.empty()) {
    const ssize_t count =
        internal::GetOs().Write(fd_.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      // What cannot be cut, a pipe say, is left as it is.
      const size_t done = lines.size() - rest.size();
      const size_t kept = lines.substr(0, done).rfind('\n') + 1;
      if (ftruncate(fd_.get(), written_ + static_cast<int64_t>(kept)) < 0) {
        errno = 0;
      }
      return absl::ErrnoToStatus(
          error, absl::StrCat("cannot record any more to ", path_));
    }
    rest.remove_prefix(static_cast<size_t>(count));
  }
  written_ += static_cast<int64_t>(lines.size());
  return absl::OkStatus();
}

}  // namespace asyncproc
