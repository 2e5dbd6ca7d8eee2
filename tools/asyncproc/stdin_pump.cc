#include "tools/asyncproc/stdin_pump.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

absl::StatusOr<std::unique_ptr<StdinPump>> StdinPump::Start(Process* process) {
  internal::UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) {
    return absl::ErrnoToStatus(errno, "cannot make a descriptor to wait for");
  }
  return absl::WrapUnique(new StdinPump(process, std::move(stop)));
}

StdinPump::StdinPump(Process* process, internal::UniqueFd stop)
    : process_(process), stop_(std::move(stop)), thread_([this] { Pump(); }) {}

StdinPump::~StdinPump() {
  stopped_.Cancel();
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void StdinPump::Pump() {
  CancellationScope scope(stopped_);
  // Less than a line of a terminal, and than a pipe takes at once.
  char bytes[2048];
  while (AwaitInput()) {
    const ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size <= 0) {
      process_->CloseStdin().IgnoreError();
      return;
    }
    const absl::Status status =
        process_->Write(absl::string_view(bytes, static_cast<size_t>(size)));
    if (absl::IsInvalidArgument(status)) Complain("run", status.message());
    if (!status.ok() || !process_->Flush(absl::InfiniteDuration()).ok()) return;
  }
}

bool StdinPump::AwaitInput() const {
  pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  while (poll(ready, 2, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return ready[1].revents == 0;
}

}  // namespace asyncproc::cli
