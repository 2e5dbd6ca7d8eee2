#include "tools/asyncproc/stdin_pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/diagnose.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

namespace {

// Opens stdin for reads that never wait. Another program that shares it may
// take the bytes that poll has announced, and a read that then waited could not
// be ended. The flags of stdin itself belong to all programs that share it: so
// a pipe or terminal is opened once more. A file has one offset for all, and
// never waits.
class Input {
 public:
  Input() {
    struct stat status;
    if (fstat(STDIN_FILENO, &status) != 0) return;
    socket_ = S_ISSOCK(status.st_mode);
    terminal_ = isatty(STDIN_FILENO) == 1;
    if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
      own_ = OpenFile("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY);
    }
  }

  int fd() const { return own_.valid() ? own_.get() : STDIN_FILENO; }

  // As read(2). A terminal that fails with EIO, for example in the background,
  // is at its end.
  ssize_t Read(char* bytes, size_t size) const {
    const ssize_t count = socket_ ? recv(fd(), bytes, size, MSG_DONTWAIT)
                                  : read(fd(), bytes, size);
    return count < 0 && errno == EIO && terminal_ ? 0 : count;
  }

 private:
  UniqueFd own_;
  bool socket_ = false;
  bool terminal_ = false;
};

// The pauses between two looks at a child. They double with each end-of-file
// that is typed.
constexpr int kFirstPauseMs = 20;
constexpr int kLastPauseMs = 1000;

// How long the child may compute before its first end-of-file.
constexpr int kPatienceMs = 1000;

// Whether a process, or one for which it waits, waits for its stdin.
bool WaitsForStdin(const Diagnosis& found) {
  return found.activity == Activity::kReadingStdin ||
         std::any_of(found.waits_for.begin(), found.waits_for.end(),
                     WaitsForStdin);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StdinPump>> StdinPump::Start(Process* process) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) {
    return absl::ErrnoToStatus(errno, "cannot make a descriptor to wait for");
  }
  auto pump = absl::WrapUnique(new StdinPump(process, std::move(stop)));
  auto thread = Thread::Start("stdin", [self = pump.get()] { self->Pump(); });
  if (!thread.ok()) return thread.status();
  pump->thread_ = *std::move(thread);
  return pump;
}

StdinPump::StdinPump(Process* process, UniqueFd stop)
    : process_(process), stop_(std::move(stop)) {}

bool StdinPump::Stop() {
  stopped_.Cancel();
  eventfd_write(stop_.get(), 1);
  thread_.Join();
  return !failed_;
}

void StdinPump::Pump() {
  CancellationScope scope(stopped_);
  const Input input;
  // Less than a line of a terminal, and than a pipe takes at once.
  char bytes[2048];
  while (AwaitInput(input.fd(), -1)) {
    const ssize_t size = input.Read(bytes, sizeof(bytes));
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size < 0) return Fail(absl::ErrnoToStatus(errno, "cannot read stdin"));
    if (size == 0) return EndInput();
    const absl::Status status = process_->WriteAndFlush(
        absl::string_view(bytes, static_cast<size_t>(size)),
        absl::InfiniteDuration());
    if (absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status)) {
      return Fail(status);
    }
    if (!status.ok()) return;
  }
}

void StdinPump::Fail(const absl::Status& status) {
  Complain("run", status.message());
  failed_ = true;
  EndInput();
}

// A program that edits lines turns its terminal to raw mode while it reads. An
// end-of-file that is typed before reads as a NUL.
void StdinPump::EndInput() {
  if (process_->pty() == nullptr) {
    process_->CloseStdin().IgnoreError();
    return;
  }
  int pause = kFirstPauseMs;
  bool typed = false;
  for (int waited = 0; AwaitInput(-1, pause); waited += pause) {
    // Not every wait for stdin shows.
    const bool late = !typed && waited >= kPatienceMs;
    if (!late && !WaitsForStdin(Diagnose(*process_))) continue;
    if (!process_->pty()->SendEof().ok()) return;
    typed = true;
    pause = std::min(2 * pause, kLastPauseMs);
  }
}

bool StdinPump::AwaitInput(int fd, int timeout_ms) const {
  pollfd ready[] = {{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  while (poll(ready, 2, timeout_ms) < 0) {
    if (errno != EINTR) return false;
  }
  return ready[1].revents == 0;
}

}  // namespace asyncproc::cli
