#include "asyncproc/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/io/byte_queue.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/transcript/asciicast.h"
#include "asyncproc/internal/transcript/json_lines.h"
#include "asyncproc/internal/transcript/transcript_format.h"
#include "asyncproc/internal/wait/open_file.h"

namespace asyncproc {

using internal::MonotonicNow;
using Kind = TranscriptEvent::Kind;

namespace {

// Empties a file, and restricts it to its owner; a device or a pipe is not
// changed.
bool MakeOwn(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) return false;
  return !S_ISREG(info.st_mode) ||
         (fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0);
}

// The events of a recording. Their data is in one block of memory, which grows
// faster than many small ones: see ByteQueue.
class Events {
 public:
  bool empty() const { return events_.empty(); }

  // False when there is no memory.
  bool Add(TranscriptEvent event, absl::string_view data) {
    if (!data_.Append(data)) return false;
    events_.push_back({std::move(event), data.size()});
    return true;
  }

  std::vector<TranscriptEvent> ToVector() const {
    std::vector<TranscriptEvent> events;
    events.reserve(events_.size());
    size_t begin = 0;
    for (const auto& [event, size] : events_) {
      events.push_back(event);
      events.back().data = std::string(data_.view().substr(begin, size));
      begin += size;
    }
    return events;
  }

 private:
  std::vector<std::pair<TranscriptEvent, size_t>> events_;
  internal::ByteQueue data_;
};

}  // namespace

struct Recorder::Core {
  Core(std::string path, internal::UniqueFd fd,
       std::unique_ptr<internal::TranscriptWriter> writer)
      : path(std::move(path)),
        to_file(writer != nullptr),
        fd(std::move(fd)),
        writer(std::move(writer)) {}

  void Note(TranscriptEvent event, absl::string_view data = "")
      ABSL_LOCKS_EXCLUDED(mu);
  void NoteData(TranscriptEvent::Kind kind, absl::string_view data);
  absl::Status Close() ABSL_LOCKS_EXCLUDED(mu);
  // The body of the thread: writes the events until the recorder is closed.
  void WriteAll() ABSL_LOCKS_EXCLUDED(mu);
  absl::Status Write(const std::string& lines);

  // Constant.
  const internal::ForkStamp stamp;
  const std::string path;
  const bool to_file;

  // Used by the thread alone.
  internal::UniqueFd fd;
  const std::unique_ptr<internal::TranscriptWriter> writer;
  int64_t written = 0;  // Bytes.

  absl::Mutex mu;
  bool started ABSL_GUARDED_BY(mu) = false;
  bool closed ABSL_GUARDED_BY(mu) = false;
  absl::Time begin ABSL_GUARDED_BY(mu);  // On MonotonicNow's clock.
  TranscriptHeader header ABSL_GUARDED_BY(mu);
  // To a file: the events that have not been written yet.
  Events events ABSL_GUARDED_BY(mu);
  absl::Status failure ABSL_GUARDED_BY(mu);

  absl::Mutex closing;
  internal::Thread thread ABSL_GUARDED_BY(closing);
};

std::shared_ptr<Recorder> Recorder::InMemory() {
  return absl::WrapUnique(
      new Recorder(std::make_unique<Core>("", internal::UniqueFd(), nullptr)));
}

absl::StatusOr<std::shared_ptr<Recorder>> Recorder::ToFile(
    const std::string& path, TranscriptFormat format) {
  // An existing file is emptied only after it is restricted to its owner. The
  // number of the descriptor is high, so that no child takes it for a standard
  // stream of this program.
  absl::Status interrupted;
  internal::UniqueFd fd = internal::MoveToHighFd(
      internal::OpenFile(path, O_WRONLY | O_CREAT, 0600, &interrupted));
  if (!interrupted.ok()) return interrupted;
  if (!fd.valid() || !MakeOwn(fd.get())) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot record to ", internal::Printable(path)));
  }
  std::shared_ptr<Recorder> recorder =
      absl::WrapUnique(new Recorder(std::make_unique<Core>(
          path, std::move(fd),
          format == TranscriptFormat::kJsonLines
              ? internal::NewJsonLinesWriter()
              : internal::NewAsciicastWriter(
                    format == TranscriptFormat::kAsciinema3 ? 3 : 2))));
  Core& core = *recorder->core_;
  absl::StatusOr<internal::Thread> thread =
      internal::Thread::Start("asyncproc-rec", [&core] { core.WriteAll(); });
  if (!thread.ok()) return thread.status();
  internal::MutexLock lock(core.closing);
  core.thread = *std::move(thread);
  return recorder;
}

Recorder::Recorder(std::unique_ptr<Core> core) : core_(std::move(core)) {}

Recorder::~Recorder() {
  if (core_->stamp.IsForkedCopy()) {
    core_->fd.Reset();
    // Its mutexes may be locked forever, and its thread belongs to the
    // original.
    const_cast<std::unique_ptr<Core>&>(core_).release();
    return;
  }
  Close().IgnoreError();
}

absl::Status Recorder::Attach(Process& process) {
  return process.Observe(shared_from_this());
}

absl::Status Recorder::OnStart(const Command& command) {
  internal::MutexLock lock(core_->mu);
  if (core_->closed || core_->started) {
    return absl::FailedPreconditionError(
        core_->closed
            ? "its recorder has been closed"
            : absl::StrCat("its recorder has recorded another child: ",
                           core_->header.command));
  }
  core_->started = true;
  core_->begin = MonotonicNow();
  core_->header.command = command.DebugString();
  core_->header.start = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  core_->header.terminal.reset();
  if (command.pty.has_value()) {
    core_->header.terminal =
        TerminalSize{command.pty->rows, command.pty->columns};
  }
  return absl::OkStatus();
}

void Recorder::OnStartFailed() {
  internal::MutexLock lock(core_->mu);
  core_->started = false;
}

void Recorder::Core::Note(TranscriptEvent event, absl::string_view data) {
  internal::MutexLock lock(mu);
  if (closed || !started || !failure.ok()) return;
  event.time = absl::Trunc(MonotonicNow() - begin, absl::Microseconds(1));
  if (events.Add(std::move(event), data)) return;
  failure = absl::ResourceExhaustedError("no memory to record any more");
}

void Recorder::Core::NoteData(Kind kind, absl::string_view data) {
  TranscriptEvent event;
  event.kind = kind;
  Note(std::move(event), data);
}

void Recorder::Mark(absl::string_view label) {
  core_->NoteData(Kind::kMark, label);
}

void Recorder::OnInput(absl::string_view bytes) {
  core_->NoteData(Kind::kIn, bytes);
}

void Recorder::OnInputClosed() { core_->NoteData(Kind::kInClosed, ""); }

void Recorder::OnInputBroken() { core_->NoteData(Kind::kInBroken, ""); }

void Recorder::OnOutput(ChildStream stream, absl::string_view bytes) {
  core_->NoteData(stream == ChildStream::kOut ? Kind::kOut : Kind::kErr, bytes);
}

void Recorder::OnOutputClosed(ChildStream stream) {
  core_->NoteData(
      stream == ChildStream::kOut ? Kind::kOutClosed : Kind::kErrClosed, "");
}

void Recorder::OnChannel(bool sent, absl::string_view bytes) {
  core_->NoteData(sent ? Kind::kSent : Kind::kReceived, bytes);
}

void Recorder::OnLetters(absl::string_view letters) {
  core_->NoteData(Kind::kLetters, letters);
}

void Recorder::OnSignal(int signal, TerminationScope scope) {
  TranscriptEvent event;
  event.kind = Kind::kSignal;
  event.signal = signal;
  event.scope = scope;
  core_->Note(std::move(event));
}

void Recorder::OnResize(int rows, int columns) {
  TranscriptEvent event;
  event.kind = Kind::kResize;
  event.size = {rows, columns};
  core_->Note(std::move(event));
}

void Recorder::OnExit(const absl::StatusOr<ExitStatus>& status) {
  TranscriptEvent event;
  event.kind = Kind::kExit;
  if (status.ok()) event.status = *status;
  core_->Note(std::move(event), status.status().message());
}

Transcript Recorder::transcript() const {
  internal::MutexLock lock(core_->mu);
  if (core_->to_file) return {};
  return {core_->header, core_->events.ToVector()};
}

absl::Status Recorder::Core::Close() {
  {
    internal::MutexLock lock(mu);
    closed = true;
  }
  {
    internal::MutexLock lock(closing);
    thread.Join();
  }
  internal::MutexLock lock(mu);
  return failure;
}

absl::Status Recorder::Close() { return core_->Close(); }

void Recorder::Core::WriteAll() {
  const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return closed || !events.empty();
  };
  bool begun = false;
  for (bool last = false; !last;) {
    Events taken;
    TranscriptHeader first;
    {
      internal::MutexLock lock(mu);
      mu.Await(absl::Condition(&due));
      last = closed;
      taken = std::exchange(events, {});
      first = header;
    }
    std::string lines;
    if (!std::exchange(begun, true)) lines = writer->Begin(first);
    for (const TranscriptEvent& event : taken.ToVector()) {
      lines += writer->Write(event);
    }
    if (last) lines += writer->End();
    absl::Status status = Write(lines);
    if (status.ok()) continue;
    internal::MutexLock lock(mu);
    failure = std::move(status);
    events = {};
    return;
  }
}

absl::Status Recorder::Core::Write(const std::string& lines) {
  absl::string_view rest = lines;
  while (!rest.empty()) {
    const ssize_t count =
        internal::GetOs().Write(fd.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      // Not every file can be cut: a pipe, for example, cannot.
      const size_t done = lines.size() - rest.size();
      const size_t kept = lines.substr(0, done).rfind('\n') + 1;
      if (ftruncate(fd.get(), written + static_cast<int64_t>(kept)) < 0) {
        errno = 0;
      }
      return absl::ErrnoToStatus(error,
                                 absl::StrCat("cannot record any more to ",
                                              internal::Printable(path)));
    }
    rest.remove_prefix(static_cast<size_t>(count));
  }
  written += static_cast<int64_t>(lines.size());
  return absl::OkStatus();
}

}  // namespace asyncproc
