#include "asyncproc/interact.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "asyncproc/internal/io/raw_mode.h"
#include "asyncproc/internal/io/stdin_writer.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/os/waker.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"

namespace asyncproc {
namespace {

using internal::GetOs;
using internal::MonotonicNow;
using internal::UniqueFd;

// The polling interval for events without a notification: a new size of the
// terminal, and the end of a child if another process holds its output open.
constexpr absl::Duration kTimeBetweenLooks = absl::Milliseconds(200);

// The time until a child that does not read is checked again.
constexpr absl::Duration kBacklogPause = absl::Milliseconds(10);
// The most input that is queued for a child that does not read. Beyond it, no
// input is read, not even the escape character.
constexpr size_t kBacklog = 64 * 1024;

// A pipe with any room has room for this many bytes.
constexpr size_t kPiece = 4096;
// The most output to show before input is handled again.
constexpr size_t kShownAtOnce = 64 * 1024;

// A nonblocking descriptor for the same terminal or pipe: the user's own
// descriptor is shared with other processes and must not be changed. Invalid if
// it cannot be opened; then poll has to do.
UniqueFd WithoutBlocking(int fd, int access) {
  struct stat info;
  if (fstat(fd, &info) < 0) return UniqueFd();
  // A reopened master, /dev/ptmx, belongs to a new terminal.
  const bool terminal = isatty(fd) && info.st_rdev != makedev(5, 2);
  if (!terminal && !S_ISFIFO(info.st_mode)) return UniqueFd();
  return internal::OpenAboveStdio(absl::StrCat("/proc/self/fd/", fd).c_str(),
                                  access | O_NONBLOCK | O_NOCTTY);
}

// Wakes a polling thread when there is output to take.
class OutputWatcher {
 public:
  explicit OutputWatcher(OutputCursor* cursor) : cursor_(cursor) {}
  ~OutputWatcher() {
    cancellation_->Cancel();
    thread_.Join();
  }

  absl::Status Start() {
    absl::StatusOr<std::shared_ptr<internal::Waker>> waker =
        internal::Waker::Create();
    if (!waker.ok()) return waker.status();
    waker_ = *std::move(waker);
    absl::StatusOr<internal::Thread> thread =
        internal::Thread::Start("asyncproc-show", [this] { Watch(); });
    if (!thread.ok()) return thread.status();
    thread_ = *std::move(thread);
    return absl::OkStatus();
  }

  internal::Waker& waker() { return *waker_; }

  // The output has been taken: the watcher may wake again.
  void Taken() {
    internal::MutexLock lock(mu_);
    taken_ = true;
  }

 private:
  void Watch() {
    const internal::WaitScope scope(cancellation_);
    while (cursor_->AwaitSome(absl::InfiniteDuration()).ok()) {
      internal::MutexLock lock(mu_);
      taken_ = false;
      waker_->Wake();
      if (!internal::Await(mu_, absl::Condition(&taken_),
                           absl::InfiniteFuture())
               .ok()) {
        return;
      }
    }
    waker_->Wake();  // For end-of-file.
  }

  OutputCursor* const cursor_;
  const std::shared_ptr<internal::Cancellation> cancellation_ =
      std::make_shared<internal::Cancellation>();
  std::shared_ptr<internal::Waker> waker_;

  absl::Mutex mu_;
  bool taken_ ABSL_GUARDED_BY(mu_) = false;

  internal::Thread thread_;  // Last: it uses the other members.
};

}  // namespace

std::ostream& operator<<(std::ostream& out, InteractionEnd end) {
  switch (end) {
    case InteractionEnd::kEscape:
      return out << "escape";
    case InteractionEnd::kChildEnded:
      return out << "child ended";
    case InteractionEnd::kUserEnded:
      return out << "user ended";
  }
  return out << "unknown";
}

namespace internal {

class InteractionRun {
 public:
  InteractionRun(Expect& expect, const InteractOptions& options)
      : expect_(expect),
        process_(*expect.process_),
        options_(options),
        deadline_(DeadlineAfter(options.timeout)),
        nonblocking_in_(WithoutBlocking(options.in, O_RDONLY)),
        nonblocking_out_(WithoutBlocking(options.out, O_WRONLY)),
        watcher_(expect.cursor_) {}

  absl::StatusOr<Interaction> Run() {
    if (absl::Status status = watcher_.Start(); !status.ok()) return status;
    if (absl::Status status = raw_mode_.Enter(options_.in); !status.ok()) {
      return status;  // The terminal has gone since the last check.
    }
    for (;;) {
      if (absl::Status status = Fill(); !status.ok()) return status;
      if (!Show()) return Interaction{InteractionEnd::kUserEnded, ""};
      if (ended_ && expect_.buffer().empty()) {
        return Interaction{InteractionEnd::kChildEnded, ""};
      }
      PassSize();
      if (absl::Status status = Wait(); !status.ok()) return status;
      if (out_gone_) return Interaction{InteractionEnd::kUserEnded, ""};
      if (!typed_) continue;
      absl::StatusOr<std::optional<Interaction>> end = PassTyped();
      if (!end.ok()) return end.status();
      if (end->has_value()) return **std::move(end);
    }
  }

 private:
  int in() const {
    return nonblocking_in_.valid() ? nonblocking_in_.get() : options_.in;
  }
  int out() const {
    return nonblocking_out_.valid() ? nonblocking_out_.get() : options_.out;
  }

  // Takes the output of the child, unless there is enough to show.
  absl::Status Fill() {
    if (expect_.buffer().size() >= std::min(kShownAtOnce, expect_.limit_)) {
      return absl::OkStatus();
    }
    // Before the read: later output is read here or wakes this thread again.
    const bool abandoned = process_.state() == ProcessState::kAbandoned;
    watcher_.waker().Reset();
    const absl::Status status =
        expect_.Fill(absl::InfinitePast(), kShownAtOnce);
    watcher_.Taken();
    ended_ = absl::IsOutOfRange(status) ||
             (abandoned && absl::IsDeadlineExceeded(status));
    return ended_ || absl::IsDeadlineExceeded(status) ? absl::OkStatus()
                                                      : status;
  }

  // Shows the output for which there is room; the rest stays. False: the
  // terminal is gone.
  bool Show() {
    for (size_t shown = 0; shown < kShownAtOnce;) {
      const absl::string_view piece = expect_.buffer().substr(0, kPiece);
      pollfd fd = {out(), POLLOUT, 0};
      if (piece.empty() || GetOs().Poll(&fd, 1, absl::InfinitePast()) <= 0) {
        return true;
      }
      const ssize_t count = WriteWithoutSigpipe(out(), piece);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      expect_.Consume(static_cast<size_t>(count));
      shown += static_cast<size_t>(count);
    }
    return true;
  }

  void PassSize() {
    winsize size = {};
    if (ioctl(options_.out, TIOCGWINSZ, &size) < 0 &&
        ioctl(options_.in, TIOCGWINSZ, &size) < 0) {
      return;
    }
    // A size that was never set is zero.
    if (size.ws_row == 0 || size.ws_col == 0) return;
    if (size.ws_row == rows_ && size.ws_col == columns_) return;
    rows_ = size.ws_row;
    columns_ = size.ws_col;
    process_.pty()->SetSize(rows_, columns_).IgnoreError();
  }

  // Whether more input may be read.
  bool HasRoom() {
    if (backlog_ < kBacklog) return true;
    if (!process_.Flush(absl::ZeroDuration()).ok()) return false;
    backlog_ = 0;
    return true;
  }

  // Waits for input, output, room for output, or the next check.
  absl::Status Wait() {
    const bool room = HasRoom();
    const auto nothing = static_cast<short>(0);
    pollfd fds[] = {
        {room ? in() : -1, POLLIN, 0},
        {watcher_.waker().fd(), POLLIN, 0},
        {out(), expect_.buffer().empty() ? nothing : short{POLLOUT}, 0}};
    const absl::Time look =
        MonotonicNow() + (room ? kTimeBetweenLooks : kBacklogPause);
    typed_ = false;
    const int ready = GetOs().Poll(fds, 3, std::min(look, NextLook(deadline_)));
    if (ready < 0 && errno != EINTR) {  // The kernel has no memory.
      return absl::ErrnoToStatus(errno, "cannot wait for the user");
    }
    // Continuous input or output must not delay the deadline.
    if (absl::Status status = CheckWaitScopes(); !status.ok()) return status;
    if (MonotonicNow() >= deadline_) {
      return absl::DeadlineExceededError(absl::StrCat(
          "the interaction with ", process_.DebugString(),
          " still goes on after ", absl::FormatDuration(options_.timeout)));
    }
    if (ready <= 0) return absl::OkStatus();
    if (((fds[0].revents | fds[2].revents) & POLLNVAL) != 0) {
      // Both were open at the start.
      return absl::InvalidArgumentError(
          absl::StrCat("descriptor ", options_.in, " or ", options_.out,
                       " of the user's terminal is not open"));
    }
    typed_ = fds[0].revents != 0;
    out_gone_ = (fds[2].revents & (POLLERR | POLLHUP)) != 0;
    return absl::OkStatus();
  }

  // Nullopt: go on.
  absl::StatusOr<std::optional<Interaction>> PassTyped() {
    char bytes[kPiece];
    const ssize_t count = GetOs().Read(in(), bytes, sizeof(bytes));
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
    // EIO: the terminal is gone.
    if (count < 0 && errno != EIO) {
      return absl::ErrnoToStatus(errno, "cannot read the input of the user");
    }
    if (count <= 0) return Interaction{InteractionEnd::kUserEnded, ""};
    const absl::string_view typed(bytes, static_cast<size_t>(count));
    const size_t escape = options_.escape.has_value()
                              ? typed.find(*options_.escape)
                              : absl::string_view::npos;
    Pass(typed.substr(0, escape));
    if (escape == absl::string_view::npos) return std::nullopt;
    return Interaction{InteractionEnd::kEscape,
                       std::string(typed.substr(escape + 1))};
  }

  void Pass(absl::string_view typed) {
    if (typed.empty()) return;
    if (process_.Write(typed).ok()) {
      backlog_ += typed.size();
    } else {
      WriteWithoutSigpipe(out(), "\a");
    }
  }

  Expect& expect_;
  Process& process_;
  const InteractOptions& options_;
  const absl::Time deadline_;
  const UniqueFd nonblocking_in_;
  const UniqueFd nonblocking_out_;
  OutputWatcher watcher_;
  internal::RawMode raw_mode_;

  int rows_ = 0;
  int columns_ = 0;
  size_t backlog_ = 0;  // The most input that the child has yet to read.
  bool ended_ = false;
  bool typed_ = false;
  bool out_gone_ = false;
};

}  // namespace internal

absl::StatusOr<Interaction> Interact(Expect& expect,
                                     const InteractOptions& options) {
  if (expect.process() == nullptr) {
    return absl::FailedPreconditionError(
        "cannot hand over the child: the Expect was not made from a Process");
  }
  const std::string child = expect.process()->DebugString();
  if (expect.process()->pty() == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot hand over ", child, ": it has no terminal (Command::pty)"));
  }
  for (const int fd : {options.in, options.out}) {
    if (fcntl(fd, F_GETFD) < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot hand over ", child, ": descriptor ", fd,
                       " of the user's terminal is not open"));
    }
  }
  return internal::InteractionRun(expect, options).Run();
}

}  // namespace asyncproc
