#include "asyncproc/internal/io/child_io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/child_stream.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {
namespace {

// How often the grace may start anew: a process that was left behind and never
// stops writing must not keep anybody waiting.
constexpr int kMostGraces = 20;

// A pipe that was full is made larger, once: at 64 KiB the child and we stop
// for each other far more often than there is data.
constexpr int kGrownPipe = 1024 * 1024;
constexpr size_t kUsualPipe = 64 * 1024;

}  // namespace

absl::Status CannotStart(const Command& command, const absl::Status& why) {
  absl::Status status(why.code(),
                      absl::StrCat("cannot start ", command.DebugString(), ": ",
                                   why.message()));
  if (std::optional<SpawnFailure> failure = GetSpawnFailure(why)) {
    SetSpawnFailure(*failure, &status);
  }
  return status;
}

ChildIo::ChildIo(const Command& command, std::shared_ptr<Driver> driver,
                 Sinks sinks)
    : leads_group_(command.process_group.is_new() || command.new_session ||
                   command.pty.has_value()),
      drain_grace_(command.drain_grace),
      input_limit_(command.input_limit),
      may_grow_pipes_(command.pipe_size == 0),
      driver_(std::move(driver)),
      outputs_(sinks.size()) {
  for (size_t i = 0; i < sinks.size(); ++i) {
    outputs_[i].sink = std::move(sinks[i]);
  }
}

absl::StatusOr<std::unique_ptr<ChildIo>> ChildIo::Start(
    const Command& command, std::shared_ptr<Driver> driver, Sinks sinks,
    const std::vector<int>& further_pipes) {
  auto child = absl::WrapUnique(
      new ChildIo(command, std::move(driver), std::move(sinks)));
  ChildObserver* const observer = command.observer.get();
  if (observer != nullptr) {
    absl::Status status = observer->OnStart(command);
    if (!status.ok()) return CannotStart(command, status);
  }
  absl::Cleanup failed = [observer] {
    if (observer != nullptr) observer->OnStartFailed();
  };
  absl::StatusOr<Launched> launched = Launch(command, further_pipes);
  if (!launched.ok()) return launched.status();
  if (absl::Status status = child->Adopt(*std::move(launched)); !status.ok()) {
    return CannotStart(command, status);
  }
  std::move(failed).Cancel();
  // Nothing has been read yet, nor written.
  if (observer != nullptr) child->Observe(command.observer);
  return child;
}

bool ChildIo::Observe(std::shared_ptr<ChildObserver> observer) {
  MutexLock lock(mu_);
  if (observer_ != nullptr) return false;
  observer_ = std::move(observer);
  // Input first: what comes of it is told later, then.
  if (input_ != nullptr) input_->Observe(observer_);
  outputs_[0].sink->Observe(observer_, ChildStream::kOut);
  outputs_[1].sink->Observe(observer_, ChildStream::kErr);
  if (state_ == State::kDrained || state_ == State::kAbandoned) NoteExit();
  return true;
}

std::shared_ptr<ChildObserver> ChildIo::observer() const {
  MutexLock lock(mu_);
  return observer_;
}

void ChildIo::NoteSignal(int signal, TerminationScope scope) {
  const std::shared_ptr<ChildObserver> observer = this->observer();
  if (observer == nullptr || signal <= 0 || signal > SIGRTMAX) return;
  // Whoever is left behind by an ended child may still be sent one.
  const bool ended = reaper_->TryReap().has_value();
  if (ended && scope == TerminationScope::kChild) return;
  observer->OnSignal(signal, scope);
}

void ChildIo::NoteLetters(absl::string_view letters) {
  if (const auto observer = this->observer(); observer != nullptr) {
    observer->OnLetters(letters);
  }
}

void ChildIo::NoteExit() {
  if (observer_ == nullptr || std::exchange(exit_noted_, true)) return;
  observer_->OnExit(*result_);
}

absl::Status ChildIo::Adopt(Launched launched) {
  const pid_t pid = launched.pid;
  absl::StatusOr<std::unique_ptr<Reaper>> reaper =
      Reaper::Create(pid, std::move(launched.pidfd), leads_group_,
                     [driver = driver_] { driver->Wake(); });
  if (!reaper.ok()) {
    // It was started a moment ago, and has never been waited for.
    GetOs().Kill(pid, SIGKILL);
    siginfo_t info;
    while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | __WALL) < 0 &&
           errno == EINTR) {
    }
    absl::Status status = reaper.status();
    SetSpawnFailure({SpawnStage::kThread, EAGAIN}, &status);
    return status;
  }
  reaper_ = *std::move(reaper);
  parent_ = std::move(launched.parent);
  if (launched.in.valid()) {
    input_ = std::make_unique<InputQueue>(std::move(launched.in),
                                          launched.terminal.valid()
                                              ? InputQueue::Kind::kTerminal
                                              : InputQueue::Kind::kPipe,
                                          input_limit_, driver_);
  }
  terminal_ = std::move(launched.terminal);
  AdoptOutput(outputs_[0], std::move(launched.out));
  AdoptOutput(outputs_[1], std::move(launched.err));
  for (size_t i = 2; i < outputs_.size(); ++i) {
    AdoptOutput(outputs_[i], std::move(launched.further[i - 2]));
  }
  return absl::OkStatus();
}

void ChildIo::AdoptOutput(Output& output, UniqueFd fd) {
  if (!fd.valid()) {
    output.sink->Finish();
    return;
  }
  struct stat info;
  if (fstat(fd.get(), &info) == 0 && S_ISFIFO(info.st_mode)) {
    output.inode = info.st_ino;
  }
  output.fd = std::move(fd);
}

ChildIo::~ChildIo() {
  for (Output& output : outputs_) output.sink->Finish();
}

ChildIo::State ChildIo::state() const {
  MutexLock lock(mu_);
  return state_;
}

std::optional<absl::StatusOr<ExitStatus>> ChildIo::result() const {
  MutexLock lock(mu_);
  if (state_ == State::kRunning || state_ == State::kDraining) {
    return std::nullopt;
  }
  return result_;
}

bool ChildIo::AbortInput() {
  if (input_ == nullptr) return false;
  if (input_->Abort()) input_aborted_ = true;
  return input_aborted_;
}

absl::Status ChildIo::AwaitSettled(absl::Time deadline) {
  MutexLock lock(mu_);
  const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return state_ == State::kDrained || state_ == State::kAbandoned;
  };
  return driver_->Await(mu_, absl::Condition(&settled), deadline);
}

absl::Status ChildIo::AwaitEnded(absl::Time deadline) {
  MutexLock lock(mu_);
  const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return state_ != State::kRunning;
  };
  return driver_->Await(mu_, absl::Condition(&ended), deadline);
}

int ChildIo::fd(Slot slot) const {
  switch (slot) {
    case kIn:
      return input_ != nullptr ? input_->fd() : -1;
    case kExit:
      return ended_seen_ ? -1 : reaper_->exit_fd();
    default:
      break;
  }
  const Output& output = outputs_[slot - kOut];
  return IsWanted(output) ? output.fd.get() : -1;
}

// A full sink is not waited for: its pipe would be readable all the time.
bool ChildIo::IsWanted(const Output& output) {
  return output.fd.valid() && (output.owed > 0 || output.sink->HasRoom());
}

short ChildIo::events(Slot slot) const {
  if (slot != kIn) return POLLIN;
  return input_->wants_room() ? POLLOUT : 0;
}

void ChildIo::Handle(Slot slot, short events) {
  switch (slot) {
    case kIn:
      // POLLHUP: of a terminal that nobody has open on the other side.
      if ((events & (POLLERR | POLLHUP)) != 0) {
        input_->OnBroken();
      } else {
        AdvanceInput();
      }
      break;
    case kExit:
      TryReap();
      break;
    default:
      Advance(outputs_[slot - kOut]);
      break;
  }
  CheckDrained();
}

void ChildIo::HandleWake() {
  if (input_ != nullptr) AdvanceInput();
  for (Output& output : outputs_) {
    if (output.fd.valid() && output.sink->IsRefused()) CloseOutput(output);
    Sync(output);
  }
  if (!ended_seen_ && reaper_->exit_fd() < 0) TryReap();
  CheckDrained();
}

void ChildIo::HandleTime() {
  if (!ended_seen_ || settled_seen_ || MonotonicNow() < deadline_) return;
  // What has come counts, however late we are: a last look.
  for (Output& output : outputs_) {
    if (IsWanted(output)) Advance(output);
  }
  CheckDrained();
  if (!settled_seen_ && MonotonicNow() >= deadline_) Settle();
}

void ChildIo::Finish() {
  Handle(kExit, 0);
  for (Output& output : outputs_) {
    while (output.owed > 0) Advance(output);
  }
  MutexLock lock(mu_);
  if (result_.has_value()) NoteExit();
}

void ChildIo::SettleNow() {
  if (ended_seen_ && !settled_seen_) Settle();
}

void ChildIo::Abandon() {
  for (Output& output : outputs_) {
    if (output.fd.valid()) CloseOutput(output);
  }
  if (input_ != nullptr) input_->OnBroken();
}

bool ChildIo::finished() const {
  return settled_seen_ && OutputsAtEnd() &&
         (input_ == nullptr || input_->fd() < 0);
}

bool ChildIo::OutputsAtEnd() const {
  return std::none_of(outputs_.begin(), outputs_.end(),
                      [](const Output& output) { return output.fd.valid(); });
}

void ChildIo::AdvanceInput() {
  const size_t before = input_->pending();
  input_->Advance();
  const size_t left = input_->pending();
  input_taken_ += before - std::min(before, left);
  // For a child that does read, and has more to come.
  if (input_taken_ >= kUsualPipe && left >= kUsualPipe) {
    GrowPipe(input_->fd());
  }
}

void ChildIo::Advance(Output& output) {
  if (!output.fd.valid()) return;
  size_t taken = 0;
  const PipeSink::Fed fed =
      output.sink->Feed(output.fd.get(), output.owed, &taken);
  if (fed == PipeSink::Fed::kEnd) {
    CloseOutput(output);
    return;
  }
  // What was in the pipe has been read, whatever was counted.
  output.owed = taken == 0 ? 0 : output.owed - std::min(output.owed, taken);
  if (taken >= kUsualPipe) GrowPipe(output.fd.get());
  if (ended_seen_ && !settled_seen_ && taken > 0) {
    deadline_ = std::min(MonotonicNow() + drain_grace_, last_deadline_);
  }
}

void ChildIo::Owe(Output& output) {
  int available = 0;
  if (output.fd.valid() && ioctl(output.fd.get(), FIONREAD, &available) == 0) {
    output.owed = static_cast<size_t>(available);
  }
}

void ChildIo::Sync(Output& output) {
  const uint64_t wanted = output.sink->WantedSync();
  if (wanted == 0) return;
  Owe(output);
  while (output.owed > 0) Advance(output);
  output.sink->Synced(wanted);
}

void ChildIo::CloseOutput(Output& output) {
  output.sink->Finish();
  driver_->BeforeClose(output.fd.get());
  output.fd.Reset();
  output.owed = 0;
}

void ChildIo::GrowPipe(int fd) {
  if (!may_grow_pipes_ || fcntl(fd, F_GETPIPE_SZ) >= kGrownPipe) return;
  // Refused to a user who has many, and of a terminal: then it stays as it is.
  fcntl(fd, F_SETPIPE_SZ, kGrownPipe);
}

void ChildIo::TryReap() {
  // With its output at its end, it settles at once. Mostly that is in the pipes
  // by now: what it said last, and the end.
  for (Output& output : outputs_) {
    for (int i = 0; i < 2 && !group_wanted_ && IsWanted(output); ++i) {
      Advance(output);
    }
  }
  const bool last = !group_wanted_ && OutputsAtEnd();
  if (auto status = reaper_->TryReap(last ? Reaper::Group::kForget
                                          : Reaper::Group::kRemember)) {
    OnEnded(*std::move(status));
  }
}

void ChildIo::OnEnded(absl::StatusOr<ExitStatus> status) {
  if (std::exchange(ended_seen_, true)) return;
  for (Output& output : outputs_) Owe(output);
  const absl::Time now = MonotonicNow();
  last_deadline_ = now + drain_grace_ * kMostGraces;
  deadline_ = now + drain_grace_;
  // Mostly the pipes are at their end by now: no need to wait for another
  // event.
  for (Output& output : outputs_) {
    while (output.owed > 0) Advance(output);
    Advance(output);
  }
  MutexLock lock(mu_);
  result_ = std::move(status);
  state_ = State::kDraining;
}

void ChildIo::CheckDrained() {
  if (ended_seen_ && !drained_seen_ && OutputsAtEnd()) Settle();
}

void ChildIo::Settle() {
  settled_seen_ = true;
  deadline_ = absl::InfiniteFuture();
  const bool at_end = OutputsAtEnd();
  drained_seen_ = at_end;
  MutexLock lock(mu_);
  if (result_->ok()) (*result_)->set_output_complete(at_end);
  state_ = at_end ? State::kDrained : State::kAbandoned;
  NoteExit();
}

}  // namespace asyncproc::internal
