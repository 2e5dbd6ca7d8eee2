#include "asyncproc/internal/io/output_reader.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"

namespace asyncproc::internal {
namespace {

// How often the drain grace may start anew: a surviving process that never
// stops writing must not block the host forever.
constexpr int kMostGraces = 20;

// The pause of the reader thread, after each 512 KiB, for a reader that is
// behind. The child can still write 500 MB per second.
constexpr size_t kBytesBetweenPauses = 512 * 1024;
constexpr absl::Duration kPause = absl::Milliseconds(1);

// How often the reader thread reads without a poll after a large read. More
// bytes have usually arrived by then, but the thread also has to look for the
// exit of the child and for a wake-up.
constexpr int kReadsWithoutPoll = 15;

// The interval to check whether a live child has opened its terminal again.
constexpr absl::Duration kTerminalRetry = absl::Milliseconds(50);

// The interval at which the reader of a detached child's abandoned stream
// checks whether the other stream has settled.
constexpr absl::Duration kDetachedLook = absl::Milliseconds(50);

// The kernel keeps no more than about 68 KiB for a terminal.
constexpr size_t kMostInTerminal = 128 * 1024;

// The size of a read of bytes to be dropped.
constexpr size_t kDropSize = 16 * 1024;

// The interval of reading when poll itself fails, for example without memory.
constexpr timespec kBlindInterval = {0, 5'000'000};

// The socket may stay open for stdin. If its last descriptor were closed with
// unread bytes, the child would get ECONNRESET in place of the end of its
// stdin.
void ShutDownReading(int socket) {
  shutdown(socket, SHUT_RD);
  char unread[4096];
  while (recv(socket, unread, sizeof(unread), MSG_DONTWAIT) > 0) {
  }
}

}  // namespace

OutputReader::OutputReader(std::shared_ptr<OutputBuffer> buffer, ChildEnd& end,
                           Options options)
    : buffer_(std::move(buffer)), end_(end), options_(std::move(options)) {}

OutputReader::~OutputReader() {
  Close();
  // A cursor may keep the buffer for any time, but not the descriptor of the
  // wake-up.
  buffer_->SetWake(nullptr);
}

absl::Status OutputReader::StartThread(const char* name,
                                       std::shared_ptr<void> owner,
                                       OutputReader* second) {
  absl::Status status = CreateWaker();
  if (status.ok() && second != nullptr) status = second->CreateWaker();
  if (!status.ok()) return status;
  second_ = second;
  return CreateThread(name, std::move(owner));
}

absl::Status OutputReader::CreateWaker() {
  absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
  if (!waker.ok()) return waker.status();
  waker_ = *std::move(waker);
  buffer_->SetWake([waker = waker_] { waker->Wake(); });
  return absl::OkStatus();
}

absl::Status OutputReader::CreateThread(const char* name,
                                        std::shared_ptr<void> owner) {
  absl::StatusOr<Thread> thread =
      Thread::Start(name, [this, owner = std::move(owner)] { Run(owner); });
  if (!thread.ok()) return thread.status();
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

void OutputReader::Open(UniqueFd fd, ino_t inode) {
  struct stat info;
  if (fd.valid() && fstat(fd.get(), &info) == 0) {
    is_terminal_ = S_ISCHR(info.st_mode);
    is_socket_ = S_ISSOCK(info.st_mode);
  }
  fd_ = std::move(fd);
  inode_ = inode;
  if (!fd_.valid()) buffer_->Finish();
  // For a terminal, this is not known: see PendingBytes.
  if (inode_ != 0) {
    buffer_->SetIsEmpty([fd = fd_.get()] {
      int available = 0;
      return ioctl(fd, FIONREAD, &available) == 0 && available == 0;
    });
  }
}

void OutputReader::Stop() {
  if (!has_thread()) return;
  stop_ = true;
  Wake();
  if (!go_.HasBeenNotified()) go_.Notify();
  thread_.Join();
}

void OutputReader::Detach() {
  MutexLock lock(thread_mu_);
  detached_ = true;
  buffer_->Finish();
  Wake();
  thread_.Detach();
}

void OutputReader::CloseInForkedCopy() {
  fd_.Reset();
  buffer_->CloseInForkedCopy();
  if (waker_ != nullptr) waker_->CloseInForkedCopy();
}

void OutputReader::Wake() {
  if (waker_ != nullptr) waker_->Wake();
}

int OutputReader::poll_fd() const {
  if (!fd_.valid() || retry_ != absl::InfinitePast()) return -1;
  // With a full buffer, the pipe is not polled: it would always be readable.
  const bool may_read =
      IsDropping() || pending_at_exit_ > 0 || buffer_->HasRoom();
  return may_read ? fd_.get() : -1;
}

absl::Time OutputReader::deadline() const {
  const absl::Time retry =
      retry_ == absl::InfinitePast() ? absl::InfiniteFuture() : retry_;
  return std::min(retry, grace_end_);
}

OutputReader::ReadResult OutputReader::Read(char* data, size_t size) {
  ssize_t count;
  do {
    count = GetOs().Read(fd_.get(), data, size);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return {0, errno};
  return {static_cast<size_t>(count), 0};
}

OutputReader::ReadResult OutputReader::ReadAndDrop() {
  char dropped[kDropSize];
  return Read(dropped, sizeof(dropped));
}

void OutputReader::ReadOnce() {
  ReadResult result;
  bool reader_behind = false;
  if (IsDropping()) {
    result = ReadAndDrop();
  } else {
    const OutputBuffer::Room room = buffer_->BeginRead(pending_at_exit_);
    if (room.data == nullptr) {
      // Detach may just have finished the buffer.
      if (!IsDropping()) StopKeeping();
      return;
    }
    result = Read(room.data, room.size);
    reader_behind = buffer_->EndRead(result.size);
  }
  const auto [size, error] = result;
  since_pause_ += size;
  read_much_ = size >= PipeGrowth::kUsualSize;
  if (reader_behind && waker_ != nullptr && !exit_seen_ &&
      since_pause_ >= kBytesBetweenPauses) {
    since_pause_ = 0;
    buffer_->WaitForReader();
    pause_end_ = MonotonicNow() + kPause;
  }
  // An empty pipe has no pending bytes, even if the count is not used up.
  pending_at_exit_ -= std::min(pending_at_exit_, size);
  sync_pending_ -= std::min(sync_pending_, size);
  if (size == 0) pending_at_exit_ = sync_pending_ = 0;
  if (error == EAGAIN) return;
  if (error == EIO && is_terminal_) {
    OnEndOfTerminal();
    return;
  }
  if (size == 0) {
    // ECONNRESET follows the last byte, when a child has closed its socket
    // without reading all of its input: that is an end-of-file.
    if (error != 0 && !(error == ECONNRESET && is_socket_)) {
      buffer_->Finish(absl::ErrnoToStatus(error, "cannot read the output"));
    }
    End();
    return;
  }
  if (read_much_ && options_.may_grow_pipe) {
    growth_.Grow(fd_.get());
  }
  if (exit_seen_ && told_ == Told::kNothing) {
    grace_end_ =
        std::min(MonotonicNow() + options_.drain_grace, last_grace_end_);
  }
}

// No process has the terminal open. A live child may open it again.
void OutputReader::OnEndOfTerminal() {
  if (exit_seen_) {
    End();
  } else {
    retry_ = MonotonicNow() + kTerminalRetry;
  }
}

void OutputReader::OnReadable() {
  if (!fd_.valid()) return;
  ReadOnce();
  if (sync_ != 0) ServeSync();
}

size_t OutputReader::PendingBytes() const {
  // A terminal's count excludes bytes that the kernel has not yet processed.
  if (is_terminal_) return kMostInTerminal;
  int available = 0;
  if (ioctl(fd_.get(), FIONREAD, &available) < 0) return 0;
  return static_cast<size_t>(available);
}

void OutputReader::OnWake() {
  if (!fd_.valid()) return;
  if (buffer_->IsRefused()) {
    StopKeeping();
    return;
  }
  // A later Sync includes the bytes of one that still waits for room.
  if (const uint64_t wanted = buffer_->WantedSync(); wanted != sync_) {
    sync_ = wanted;
    sync_pending_ = PendingBytes();
  }
  if (sync_ != 0) ServeSync();
}

void OutputReader::ServeSync() {
  while (sync_pending_ > 0 && poll_fd() >= 0) ReadOnce();
  if (sync_pending_ == 0) buffer_->Synced(std::exchange(sync_, 0));
}

void OutputReader::OnExit() {
  if (std::exchange(exit_seen_, true)) return;
  retry_ = absl::InfinitePast();
  const absl::Time now = MonotonicNow();
  last_grace_end_ = now + options_.drain_grace * kMostGraces;
  grace_end_ = now + options_.drain_grace;
  if (!fd_.valid()) {
    grace_end_ = absl::InfiniteFuture();
    return;
  }
  pending_at_exit_ = PendingBytes();
  while (pending_at_exit_ > 0 && fd_.valid()) ReadOnce();
  // End-of-file usually follows, even where the buffer is full.
  OnReadable();
}

void OutputReader::OnTime() {
  const absl::Time now = MonotonicNow();
  if (retry_ != absl::InfinitePast() && now >= retry_) {
    retry_ = absl::InfinitePast();
    OnReadable();
  }
  if (now < grace_end_) return;
  // Bytes that have arrived count, however late this thread runs: reads once
  // more.
  if (poll_fd() >= 0) OnReadable();
  if (fd_.valid() && MonotonicNow() >= grace_end_) Abandon();
}

void OutputReader::Abandon() {
  if (!fd_.valid()) return;
  grace_end_ = absl::InfiniteFuture();
  if (told_ != Told::kNothing) return;
  told_ = Told::kAbandoned;
  buffer_->NoteAbandoned();
  end_.OnStreamAbandoned();
}

void OutputReader::StopKeeping() {
  if (!options_.drops_after_close) {
    End();
    return;
  }
  if (!fd_.valid() || std::exchange(dropping_, true)) return;
  buffer_->Finish();
  end_.OnStreamEnd(/*was_abandoned=*/told_ == Told::kAbandoned);
  told_ = Told::kEnd;
}

void OutputReader::End() {
  if (!fd_.valid()) return;
  const bool was_abandoned = told_ == Told::kAbandoned;
  Close();
  if (was_abandoned) end_.OnStreamEnd(/*was_abandoned=*/true);
}

void OutputReader::Close() {
  if (!fd_.valid()) return;
  if (options_.before_close != nullptr) options_.before_close(fd_.get());
  buffer_->SetIsEmpty(nullptr);
  if (is_socket_) ShutDownReading(fd_.get());
  fd_.Reset();
  growth_.Forget();
  pending_at_exit_ = 0;
  grace_end_ = absl::InfiniteFuture();
  retry_ = absl::InfinitePast();
  buffer_->Finish();
  if (told_ == Told::kNothing) end_.OnStreamEnd(/*was_abandoned=*/false);
}

void OutputReader::Run(const std::shared_ptr<void>& owner) {
  go_.WaitForNotification();
  while (!stop_ && !MayEnd()) PollOnce(owner);
}

bool OutputReader::MayEnd() {
  if (detached_ && end_.IsSettled()) {
    Close();
    if (second_ != nullptr) second_->Close();
    return true;
  }
  if (fd_.valid() || (second_ != nullptr && second_->fd_.valid())) return false;
  return left_ || (left_ = end_.Leave());
}

absl::Time OutputReader::poll_deadline() const {
  absl::Time deadline = std::min(this->deadline(), pause_end_);
  // Nothing wakes this thread when the other stream of a detached child
  // settles.
  if (detached_ && told_ == Told::kAbandoned) {
    deadline = std::min(deadline, MonotonicNow() + kDetachedLook);
  }
  return deadline;
}

void OutputReader::OnPolled(bool readable, bool woken) {
  if (pause_end_ != absl::InfiniteFuture() &&
      (woken || MonotonicNow() >= pause_end_)) {
    buffer_->StopWaitingForReader();
    pause_end_ = absl::InfiniteFuture();
  }
  if (woken) {
    waker_->Reset();
    OnWake();
  }
  if (readable) OnReadable();
  for (int i = 0; i < kReadsWithoutPoll && read_much_ && poll_fd() >= 0; ++i) {
    OnReadable();
  }
}

void OutputReader::GiveThreadToSecond(const std::shared_ptr<void>& owner) {
  MutexLock lock(second_->thread_mu_);
  if (second_->detached_) return;
  end_.AddWatcher();
  if (second_->CreateThread("asyncproc-err", owner).ok()) {
    std::exchange(second_, nullptr)->Go();
  } else {
    keeps_second_ = true;
    end_.Leave();
  }
}

void OutputReader::PollOnce(const std::shared_ptr<void>& owner) {
  const ChildEnd::Watch watch =
      exit_seen_ ? ChildEnd::Watch() : end_.NextWatch();
  const auto on_exit = [this] {
    OnExit();
    if (second_ != nullptr) second_->OnExit();
  };
  if (watch.exited) return on_exit();
  const bool two = second_ != nullptr;
  pollfd fds[] = {{watch.fd, POLLIN, 0},
                  {poll_fd(), POLLIN, 0},
                  {waker_->fd(), POLLIN, 0},
                  {two ? second_->poll_fd() : -1, POLLIN, 0},
                  {two ? second_->waker_->fd() : -1, POLLIN, 0}};
  auto& [exit, stream, wake, second_stream, second_wake] = fds;
  absl::Time deadline = std::min(watch.next_look, poll_deadline());
  if (two) deadline = std::min(deadline, second_->poll_deadline());
  if (GetOs().Poll(fds, two ? 5 : 3, deadline) < 0 && errno != EINTR) {
    // No call below blocks, so each descriptor may be tried.
    nanosleep(&kBlindInterval, nullptr);
    for (pollfd& fd : fds) fd.revents = fd.fd >= 0 ? POLLIN : short{0};
  }
  OnPolled(stream.revents != 0, wake.revents != 0);
  if (two) {
    second_->OnPolled(second_stream.revents != 0, second_wake.revents != 0);
  }
  // Without a pidfd, a wake-up signals the exit.
  const bool may_have_exited =
      watch.fd >= 0 ? exit.revents != 0 : !exit_seen_ && wake.revents != 0;
  if (may_have_exited && end_.CheckExit()) on_exit();
  OnTime();
  if (two) second_->OnTime();
  // With bytes, but without the end: there is more to come.
  if (two && second_stream.revents == POLLIN && fd_.valid() && !keeps_second_ &&
      !exit_seen_) {
    GiveThreadToSecond(owner);
  }
}

}  // namespace asyncproc::internal
