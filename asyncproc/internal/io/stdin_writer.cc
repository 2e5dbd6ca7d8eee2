#include "asyncproc/internal/io/stdin_writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {

namespace {

// The interval between attempts to write to a terminal that no process has
// open.
constexpr absl::Duration kTerminalRetry = absl::Milliseconds(50);

// The interval at which a detached child's thread checks for the child's end.
constexpr absl::Duration kDetachedLook = absl::Milliseconds(100);

// The interval between writes when poll itself fails, for example without
// memory.
constexpr timespec kBlindInterval = {0, 5'000'000};

ssize_t WriteWithSigpipeBlocked(int fd, absl::string_view data) {
  sigset_t sigpipe, before, pending;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  // A SIGPIPE that was already pending belongs to the host, and stays pending.
  const bool was_pending = sigismember(&before, SIGPIPE) &&
                           sigpending(&pending) == 0 &&
                           sigismember(&pending, SIGPIPE);
  const ssize_t written = GetOs().Write(fd, data.data(), data.size());
  const int error = errno;
  if (written < 0 && error == EPIPE && !was_pending) {
    const timespec at_once = {};
    while (sigtimedwait(&sigpipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

absl::Status NoMemoryFor(size_t size) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory to queue ", size, " bytes for stdin"));
}

}  // namespace

ssize_t WriteWithoutSigpipe(int fd, absl::string_view data) {
  const ssize_t written = GetOs().WriteQuietly(fd, data.data(), data.size());
  // EPERM is no error of a write to a pipe: see Os::WriteQuietly.
  if (written >= 0 ||
      (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM)) {
    return written;
  }
  return WriteWithSigpipeBlocked(fd, data);
}

StdinWriter::StdinWriter(UniqueFd fd, Kind kind, const ChildEnd& end,
                         Options options)
    : options_(std::move(options)),
      end_(end),
      is_socket_(kind == Kind::kSocket),
      fd_(std::move(fd)) {
  if (kind == Kind::kTerminal) terminal_.emplace();
}

StdinWriter::~StdinWriter() = default;

void StdinWriter::UseThread(std::weak_ptr<void> owner) {
  MutexLock lock(mu_);
  threaded_ = true;
  owner_ = std::move(owner);
}

absl::Status StdinWriter::EnsureThread() {
  if (!threaded_ || waker_ != nullptr) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
  if (!waker.ok()) return waker.status();
  absl::StatusOr<Thread> thread =
      Thread::Start("asyncproc-in", [this, owner = owner_.lock()] { Run(); });
  if (!thread.ok()) return thread.status();
  waker_ = *std::move(waker);
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

void StdinWriter::Stop() {
  Thread thread;
  {
    MutexLock lock(mu_);
    stop_ = true;
    Wake();
    thread = std::move(thread_);
  }
  thread.Join();
}

void StdinWriter::Detach() {
  MutexLock lock(mu_);
  detached_ = true;
  Wake();
  thread_.Detach();
}

void StdinWriter::CloseInForkedCopy() {
  fd_.Reset();
  if (waker_ != nullptr) waker_->CloseInForkedCopy();
}

void StdinWriter::Observe(std::shared_ptr<ChildObserver> observer) {
  MutexLock lock(mu_);
  observer_ = std::move(observer);
}

void StdinWriter::NoteResize(int rows, int columns) {
  MutexLock lock(mu_);
  if (observer_ != nullptr) observer_->OnResize(rows, columns);
}

absl::Status StdinWriter::TypeEof() {
  MutexLock lock(mu_);
  return WriteLocked(terminal_->EndOfInput(fd_.get()), Bytes::kControl);
}

absl::Status StdinWriter::TypeControl(char character) {
  MutexLock lock(mu_);
  return WriteLocked(absl::string_view(&character, 1), Bytes::kControl);
}

absl::Status StdinWriter::Write(absl::string_view data) {
  MutexLock lock(mu_);
  return WriteLocked(data, Bytes::kCopied);
}

absl::Status StdinWriter::WriteAndFlush(absl::string_view data,
                                        absl::Time deadline) {
  MutexLock lock(mu_);
  absl::Status status = WriteLocked(data, Bytes::kLent);
  if (!status.ok()) return status;
  const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return PendingLocked() == 0;
  };
  status = Await(mu_, absl::Condition(&done), deadline);
  if (status.ok()) return CheckDelivered();
  // Another caller may have lent bytes meanwhile.
  const bool is_lent = !lent_.empty() && lent_.end() == data.end();
  if (is_lent) {
    if (absl::Status copied = CopyLent(); !copied.ok()) return copied;
  }
  return status;
}

absl::Status StdinWriter::WriteLocked(absl::string_view data, Bytes bytes) {
  if (data.empty()) return absl::OkStatus();
  // The thread may not have noticed yet that an ended child reads no more.
  if (PendingLocked() > 0 && end_.HasExited()) WritePending();
  if (absl::Status status = CheckDelivered(); !status.ok()) return status;
  if (broken_) {
    return absl::ErrnoToStatus(EPIPE, "the child has closed its stdin");
  }
  if (closing_ && bytes != Bytes::kControl) {
    return absl::FailedPreconditionError("stdin has been closed");
  }
  if (options_.limit > 0 && PendingLocked() + data.size() > options_.limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat(PendingLocked(), " bytes wait to be written to stdin; ",
                     data.size(), " more would exceed the limit of ",
                     options_.limit, " (Command::input_limit)"));
  }
  if (bytes != Bytes::kControl || PendingLocked() > 0) {
    if (absl::Status status = EnsureThread(); !status.ok()) return status;
  }
  const bool first = PendingLocked() == 0;
  const bool is_lent = first && bytes == Bytes::kLent;
  // Reserves memory for all bytes before the first one is written. An empty
  // queue needs none where the pipe takes all bytes or none.
  const bool is_atomic =
      first && !is_socket_ && !terminal_.has_value() && data.size() <= PIPE_BUF;
  if (!is_lent && !is_atomic && queue_.Reserve(data.size()) == nullptr) {
    return NoMemoryFor(data.size());
  }
  if (terminal_.has_value()) {
    absl::Status status = terminal_->Type(fd_.get(), data);
    if (!status.ok()) return status;
  }
  if (observer_ != nullptr) observer_->OnInput(data);
  if (first) WriteSome(&data);
  if (first && data.empty()) queue_.Consume(0);  // Frees the memory.
  if (broken_) {
    undelivered_ += data.size();
    if (!Wake()) AdvanceLocked();
    return CheckDelivered();
  }
  if (data.empty()) {
    BriefWait::NoteRequest();
    return absl::OkStatus();
  }
  if (absl::Status status = EnsureThread(); !status.ok()) return status;
  if (is_lent) {
    lent_ = data;
  } else if (!queue_.Append(data)) {
    return NoMemoryFor(data.size());
  }
  Wake();
  return absl::OkStatus();
}

absl::Status StdinWriter::CopyLent() {
  const absl::string_view lent = std::exchange(lent_, {});
  ByteQueue queue;
  if (!queue.Append(lent) || !queue.Append(queue_.view())) {
    return NoMemoryFor(lent.size());
  }
  queue_ = std::move(queue);
  return absl::OkStatus();
}

absl::Status StdinWriter::Close() {
  MutexLock lock(mu_);
  if (closing_) return CheckDelivered();
  std::string typed;
  if (terminal_.has_value() && !broken_) {
    typed = terminal_->EndOfInput(fd_.get());
    if (queue_.Reserve(typed.size()) == nullptr) {
      return absl::ResourceExhaustedError(
          "no memory to queue the end of the input");
    }
  }
  if (observer_ != nullptr && !broken_) observer_->OnInputClosed();
  absl::string_view rest = typed;
  if (PendingLocked() == 0 && !rest.empty()) WriteSome(&rest);
  if (broken_) {
    undelivered_ += rest.size();
  } else if (!rest.empty()) {
    if (absl::Status status = EnsureThread(); !status.ok()) return status;
    queue_.Append(rest);  // There is room.
  }
  closing_ = true;
  if (!Wake()) AdvanceLocked();
  return CheckDelivered();
}

bool StdinWriter::Abort() {
  MutexLock lock(mu_);
  const bool was_closed = closing_ && PendingLocked() == 0;
  bool was_open = !broken_ && fd_.valid() && !was_closed;
  if (observer_ != nullptr && was_open && !closing_) {
    observer_->OnInputClosed();
  }
  Drop();
  if (terminal_.has_value() && was_open) {
    // Twice, because the dropped bytes may have ended a line.
    const std::string eof(2, terminal_->EndOfInput(fd_.get())[0]);
    absl::string_view rest = eof;
    WriteSome(&rest);
    was_open = rest.empty() || (EnsureThread().ok() && queue_.Append(rest));
  }
  closing_ = true;
  if (!Wake()) AdvanceLocked();
  return was_open;
}

uint64_t StdinWriter::undelivered() const {
  MutexLock lock(mu_);
  return undelivered_;
}

size_t StdinWriter::pending() const {
  MutexLock lock(mu_);
  return PendingLocked();
}

size_t StdinWriter::PendingLocked() const {
  return lent_.size() + queue_.size();
}

int StdinWriter::fd() const {
  MutexLock lock(mu_);
  return fd_.get();
}

StdinWriter::Watch StdinWriter::NextWatch() const {
  MutexLock lock(mu_);
  return NextWatchLocked();
}

StdinWriter::Watch StdinWriter::NextWatchLocked() const {
  if (!fd_.valid()) return {};
  if (MonotonicNow() < retry_) return {-1, 0, retry_};
  Watch watch;
  watch.fd = fd_.get();
  watch.events = PendingLocked() == 0 ? short{0} : short{POLLOUT};
  if (detached_) watch.next_look = MonotonicNow() + kDetachedLook;
  return watch;
}

void StdinWriter::Advance(short events) {
  MutexLock lock(mu_);
  if (!fd_.valid()) return;
  if ((events & (POLLERR | POLLHUP)) != 0) {
    // A live child may open its terminal again.
    if (terminal_.has_value() && !end_.HasExited()) {
      retry_ = MonotonicNow() + kTerminalRetry;
      return;
    }
    BreakLocked();
  }
  if (detached_ && end_.IsSettled()) BreakLocked();
  AdvanceLocked();
}

void StdinWriter::AdvanceLocked() {
  if (!fd_.valid()) return;
  WritePending();
  // A terminal stays open for control characters, until Detach.
  const bool is_needed = terminal_.has_value() && !detached_;
  const bool ends = closing_ && PendingLocked() == 0 && !is_needed;
  if (broken_ || ends) {
    CloseFd();
  } else if (taken_ >= PipeGrowth::kUsualSize && options_.may_grow_pipe &&
             PendingLocked() >= PipeGrowth::kUsualSize) {
    // The child reads, and more bytes are pending.
    growth_.Grow(fd_.get());
  }
}

void StdinWriter::WritePending() {
  if (!fd_.valid()) return;
  const size_t before = PendingLocked();
  if (!lent_.empty()) WriteSome(&lent_);
  if (lent_.empty() && !queue_.empty()) {
    absl::string_view rest = queue_.view();
    WriteSome(&rest);
    // A broken pipe has emptied the queue.
    if (!broken_) queue_.Consume(queue_.size() - rest.size());
  }
  taken_ += before - PendingLocked();
}

void StdinWriter::Break() {
  MutexLock lock(mu_);
  broken_ = true;
  Drop();
  CloseFd();
}

void StdinWriter::CloseFd() {
  if (!fd_.valid()) return;
  if (options_.before_close != nullptr) options_.before_close(fd_.get());
  // The socket may stay open for stdout.
  if (is_socket_) shutdown(fd_.get(), SHUT_WR);
  fd_.Reset();
  growth_.Forget();
}

void StdinWriter::WriteSome(absl::string_view* data) {
  ssize_t written;
  do {
    written = is_socket_ ? GetOs().Send(fd_.get(), data->data(), data->size())
                         : WriteWithoutSigpipe(fd_.get(), *data);
  } while (written < 0 && errno == EINTR);
  if (written >= 0) {
    data->remove_prefix(static_cast<size_t>(written));
  } else if (errno == EIO && terminal_.has_value() && !end_.HasExited()) {
    retry_ = MonotonicNow() + kTerminalRetry;
  } else if (errno != EAGAIN) {
    BreakLocked();
  }
}

void StdinWriter::BreakLocked() {
  const bool has_ended = closing_ && PendingLocked() == 0;
  if (observer_ != nullptr && !broken_ && !has_ended) {
    observer_->OnInputBroken();
  }
  broken_ = true;
  Drop();
}

void StdinWriter::Drop() {
  undelivered_ += PendingLocked();
  lent_ = {};
  queue_.Consume(queue_.size());
}

absl::Status StdinWriter::CheckDelivered() const {
  if (undelivered_ == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      EPIPE, absl::StrCat("the child no longer reads its stdin: ", undelivered_,
                          " bytes were not delivered"));
}

bool StdinWriter::Wake() {
  if (waker_ != nullptr) {
    waker_->Wake();
    return true;
  }
  if (options_.wake != nullptr) options_.wake();
  return options_.wake != nullptr;
}

void StdinWriter::Run() {
  for (;;) {
    Watch watch;
    std::shared_ptr<Waker> waker;
    {
      MutexLock lock(mu_);
      if (stop_ || !fd_.valid()) return;
      watch = NextWatchLocked();
      waker = waker_;
    }
    pollfd fds[] = {{watch.fd, watch.events, 0}, {waker->fd(), POLLIN, 0}};
    if (GetOs().Poll(fds, 2, watch.next_look) < 0 && errno != EINTR) {
      // Writing does not block, so it may be tried.
      nanosleep(&kBlindInterval, nullptr);
      fds[0].revents = watch.events;
      fds[1].revents = POLLIN;
    }
    if (fds[1].revents != 0) waker->Reset();
    Advance(fds[0].revents);
  }
}

}  // namespace asyncproc::internal
