#include "asyncproc/internal/loop/polled_child.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/spawn/launch.h"
#include "asyncproc/internal/spawn/start_error.h"
#include "asyncproc/internal/terminate/child_inspector.h"
#include "asyncproc/internal/text/prefixed.h"

namespace asyncproc::internal {
namespace {

// The delay before watching a descriptor again that the loop had no room for.
constexpr absl::Duration kRetry = absl::Milliseconds(100);

// When all events have been taken, a larger capacity is freed.
constexpr size_t kKeptEvents = 2;

absl::Status Validate(const Command& command, const ChildLimits& limits) {
  absl::Status status = limits.escalation.Validate();
  if (limits.idle_timeout <= absl::ZeroDuration()) {
    status = absl::InvalidArgumentError(
        absl::StrCat("idle_timeout is not positive: ",
                     absl::FormatDuration(limits.idle_timeout)));
  } else if (limits.timeout <= absl::ZeroDuration()) {
    status = absl::DeadlineExceededError(
        absl::StrCat("its timeout is ", absl::FormatDuration(limits.timeout)));
  }
  return status.ok() ? status : CannotStart(command, status);
}

absl::Status NoStdin() {
  return absl::FailedPreconditionError("its stdin is not a pipe");
}

}  // namespace

PolledChild::PolledChild(EventLoop& loop, Listener& listener, uint64_t cookie)
    : loop_(loop), listener_(listener), id_(loop.Add(this)), cookie_(cookie) {}

absl::Status CheckPolledChild(const Command& command,
                              const ChildLimits& limits) {
  absl::Status status = Validate(command, limits);
  status.Update(CheckCommand(command));
  return status;
}

absl::StatusOr<std::unique_ptr<PolledChild>> PolledChild::Start(
    EventLoop& loop, Listener& listener, uint64_t cookie,
    const Command& command, const std::vector<int>& further_pipes,
    const ChildLimits& limits) {
  if (absl::Status status = Validate(command, limits); !status.ok()) {
    return status;
  }
  if (further_pipes.size() + kFirstOutput + 3 >= EventLoop::kMostSlots) {
    return CannotStart(
        command, absl::InvalidArgumentError(absl::StrCat(
                     further_pipes.size(), " further pipes are too many")));
  }
  auto self = absl::WrapUnique(new PolledChild(loop, listener, cookie));
  ChildProcess::Options options;
  options.wake = [self = self.get()] { self->Wake(); };
  options.before_close = [self = self.get()](int fd) { self->BeforeClose(fd); };
  options.further_pipes = further_pipes;
  absl::StatusOr<std::shared_ptr<ChildProcess>> child =
      ChildProcess::Start(command, std::move(options));
  if (!child.ok()) return child.status();
  self->child_ = *std::move(child);
  self->started_ = self->last_output_ = MonotonicNow();
  for (size_t i = 0; i < self->child_->output_count(); ++i) {
    OutputBuffer& buffer = *self->child_->output(i).buffer();
    Stream stream;
    stream.number = i < ChildProcess::kUsualStreams
                        ? STDOUT_FILENO + static_cast<int>(i)
                        : further_pipes[i - ChildProcess::kUsualStreams];
    stream.cursor = buffer.AddCursor(/*at_oldest=*/true);
    stream.closed_told = buffer.IsFinished();
    self->streams_.push_back(stream);
  }
  self->interests_.resize(static_cast<size_t>(self->SurvivorSlot()) + 1);
  if (!limits.unlimited()) {
    self->limits_ = std::make_unique<ChildLimits>(limits);
  }
  if (absl::Status status = self->WatchSlots(); !status.ok()) return status;
  self->running_ = true;
  self->Emit(ChildEvent::Kind::kStarted);
  self->SetTimer();
  return self;
}

PolledChild::~PolledChild() {
  running_ = false;
  UnwatchAll();
  escalation_ = nullptr;
  if (timer_.has_value()) loop_.Cancel(*timer_);
  if (child_ != nullptr && !child_->end().HasExited() &&
      !child_->KillAndReap()) {
    reaper().Detach();
  }
  child_ = nullptr;
  loop_.Remove(id_);
}

int PolledChild::SurvivorSlot() const {
  return kFirstOutput + static_cast<int>(streams_.size());
}

absl::StatusOr<ExitStatus> PolledChild::status() {
  if (auto result = child_->end().result()) return *std::move(result);
  if (auto result = reaper().TryReap()) return *std::move(result);
  // Only before the exit: an escalation may fail to end the child.
  return absl::UnavailableError(absl::StrCat(Name(), " still runs"));
}

void PolledChild::Emit(ChildEvent::Kind kind, int fd) {
  ChildEvent event;
  event.kind = kind;
  event.fd = fd;
  Emit(std::move(event));
}

void PolledChild::EmitOutput() {
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = streams_[i];
    OutputBuffer& buffer = *child_->output(i).buffer();
    ChildEvent event;
    event.kind = ChildEvent::Kind::kOutput;
    event.fd = stream.number;
    event.output = buffer.TakeMemory(stream.cursor);
    if (!event.output.empty() && !stream.refused) {
      if (limits_ != nullptr) last_output_ = MonotonicNow();
      Emit(std::move(event));
    }
    if (buffer.IsFinished() && !std::exchange(stream.closed_told, true)) {
      Emit(ChildEvent::Kind::kOutputClosed, stream.number);
    }
  }
}

void PolledChild::Emit(ChildEvent event) {
  if (!running_) return;
  events_.push_back(std::move(event));
  if (!std::exchange(pending_, true)) listener_.OnPending(*this);
}

std::optional<ChildEvent> PolledChild::TakeEvent() {
  if (!paused_ && taken_ < events_.size()) return std::move(events_[taken_++]);
  pending_ = false;
  if (taken_ == events_.size()) {
    taken_ = 0;
    events_.clear();
    if (events_.capacity() > kKeptEvents) events_.shrink_to_fit();
  }
  return std::nullopt;
}

void PolledChild::Pause() {
  paused_ = true;
  Wake();
}

void PolledChild::Resume() {
  if (!std::exchange(paused_, false)) return;
  last_output_ = MonotonicNow();
  if (taken_ < events_.size() && !std::exchange(pending_, true)) {
    listener_.OnPending(*this);
  }
  Wake();
}

absl::Status PolledChild::Cannot(absl::string_view call,
                                 const absl::Status& why) {
  if (why.ok()) return why;
  return Prefixed(absl::StrCat("cannot ", call, " ", Name()), why);
}

absl::Status PolledChild::Write(absl::string_view data) {
  StdinWriter* const input = child_->input();
  return Cannot("write to", input == nullptr ? NoStdin() : input->Write(data));
}

absl::Status PolledChild::CloseInput() {
  StdinWriter* const input = child_->input();
  return Cannot("close stdin of",
                input == nullptr ? NoStdin() : input->Close());
}

absl::Status PolledChild::CloseOutput(int fd) {
  for (size_t i = 0; i < streams_.size(); ++i) {
    if (streams_[i].number != fd || streams_[i].closed_told) continue;
    streams_[i].refused = true;
    child_->output(i).buffer()->Refuse();
    return absl::OkStatus();
  }
  return Cannot(absl::StrCat("close descriptor ", fd, " of"),
                absl::NotFoundError("it is not a pipe, or has been closed"));
}

void PolledChild::CloseOutputs() {
  for (size_t i = 0; i < streams_.size(); ++i) {
    streams_[i].refused = true;
    child_->output(i).buffer()->Refuse();
  }
}

absl::Status PolledChild::Signal(int signal) {
  child_->NoteSignal(signal, TerminationScope::kChild);
  return Cannot(absl::StrCat("send ", SignalDescription(signal), " to"),
                reaper().Signal(signal));
}

absl::Status PolledChild::Terminate(Escalation escalation) {
  if (absl::Status status = escalation.Validate(); !status.ok()) {
    return Cannot("end", status);
  }
  if (ended_told_) return absl::OkStatus();
  limits_ = nullptr;
  outcome_ = nullptr;
  escalation_ = std::make_unique<EscalationRun>(*child_, std::move(escalation));
  Update();
  return absl::OkStatus();
}

absl::StatusOr<Termination> PolledChild::termination() {
  if (escalation_ != nullptr) {
    return absl::UnavailableError(
        absl::StrCat(Name(), " is still being ended"));
  }
  if (outcome_ == nullptr) {
    return absl::NotFoundError(
        absl::StrCat(Name(), " was not ended by an escalation"));
  }
  absl::StatusOr<ExitStatus> status = this->status();
  if (!status.ok()) return status.status();
  if (!outcome_->search.ok()) {
    return absl::Status(outcome_->search.code(),
                        absl::StrCat(Name(), " has ended: ", status->ToString(),
                                     ", but ", outcome_->search.message()));
  }
  Termination termination = outcome_->termination;
  termination.status = *std::move(status);
  return termination;
}

void PolledChild::Wake() {
  if (woken_.exchange(true)) return;
  loop_.Post([loop = &loop_, id = id_] {
    auto* const child = static_cast<PolledChild*>(loop->Find(id));
    if (child == nullptr) return;
    child->woken_ = false;
    child->child_->OnWake(/*group_wanted=*/child->escalation_ != nullptr);
    child->Update();
  });
}

void PolledChild::BeforeClose(int fd) {
  for (Interest& interest : interests_) {
    if (interest.fd != fd) continue;
    loop_.Unwatch(fd);
    interest = {};
  }
}

void PolledChild::OnEvents(int slot, uint32_t events) {
  if (slot == kIn) {
    // The bits of epoll equal those of poll.
    child_->input()->Advance(static_cast<short>(events));
  } else if (slot == kExit) {
    // Without an escalation, the group is not wanted: the owner learns of the
    // exit only after the reap, too late to end the other members.
    child_->CheckExit(/*group_wanted=*/escalation_ != nullptr);
  } else if (slot < SurvivorSlot()) {
    child_->output(static_cast<size_t>(slot - kFirstOutput)).OnReadable();
  }
  Update();
}

void PolledChild::OnTime() {
  timer_.reset();
  retry_ = absl::InfiniteFuture();
  child_->OnTime();
  CheckLimits();
  Update();
}

void PolledChild::CheckLimits() {
  if (limits_ == nullptr || child_->end().HasExited()) return;
  const absl::Time now = MonotonicNow();
  // A paused child is not idle: its output is not read.
  if (paused_) last_output_ = now;
  std::string which;
  if (now - started_ >= limits_->timeout) {
    which = absl::StrCat("still runs after ",
                         absl::FormatDuration(limits_->timeout));
  } else if (now - last_output_ >= limits_->idle_timeout) {
    which = absl::StrCat("has written nothing for ",
                         absl::FormatDuration(limits_->idle_timeout));
  } else {
    return;
  }
  ChildEvent event;
  event.kind = ChildEvent::Kind::kTimedOut;
  event.limit = absl::StrCat(Name(), " ", which, ": ",
                             DiagnoseChild(*child_).explanation);
  Emit(std::move(event));
  Terminate(Escalation(limits_->escalation)).IgnoreError();
}

void PolledChild::Update() {
  if (ended_told_) return;
  if (escalation_ != nullptr) AdvanceEscalation();
  EmitOutput();
  StdinWriter* const input = child_->input();
  if (input != nullptr && input->fd() < 0 &&
      !std::exchange(input_closed_told_, true)) {
    Emit(ChildEvent::Kind::kInputClosed);
  }
  if (child_->end().HasExited() && !std::exchange(exited_told_, true)) {
    Emit(ChildEvent::Kind::kExited);
  }
  if (child_->end().IsSettled() && escalation_ == nullptr) {
    End();
    return;
  }
  if (!WatchSlots().ok()) retry_ = MonotonicNow() + kRetry;
  SetTimer();
}

void PolledChild::End() {
  UnwatchAll();
  if (timer_.has_value()) loop_.Cancel(*timer_);
  timer_.reset();
  child_->Abandon();
  EmitOutput();
  if (child_->input() != nullptr && !std::exchange(input_closed_told_, true)) {
    Emit(ChildEvent::Kind::kInputClosed);
  }
  ended_told_ = true;
  Emit(ChildEvent::Kind::kEnded);
}

void PolledChild::AdvanceEscalation() {
  if (escalation_->Advance()) {
    outcome_ = std::make_unique<Outcome>(Outcome{
        escalation_->Outcome(), escalation_->targets().search_status()});
    escalation_ = nullptr;
    WatchSlot(SurvivorSlot(), -1, 0).IgnoreError();
    survivor_.Reset();
  } else if (child_->end().HasExited() && !WatchSurvivor().ok()) {
    // No descriptor or no memory is left.
    retry_ = MonotonicNow() + kRetry;
  }
}

// Watches a duplicate, which stays open when the target is dropped.
absl::Status PolledChild::WatchSurvivor() {
  const int slot = SurvivorSlot();
  WatchSlot(slot, -1, 0).IgnoreError();
  survivor_ = UniqueFd(
      GetOs().Duplicate(escalation_->targets().AnyPidfd(), STDERR_FILENO + 1));
  if (!survivor_.valid()) return absl::ErrnoToStatus(errno, "dup");
  return WatchSlot(slot, survivor_.get(), POLLIN);
}

absl::Status PolledChild::WatchSlots() {
  absl::Status status;
  if (child_->input() != nullptr) {
    const StdinWriter::Watch watch = child_->input()->NextWatch();
    status.Update(WatchSlot(kIn, watch.fd, watch.events));
  }
  const int exit_fd = child_->end().NextWatch().fd;
  status.Update(WatchSlot(kExit, exit_fd, POLLIN));
  for (size_t i = 0; i < streams_.size(); ++i) {
    const int fd = paused_ ? -1 : child_->output(i).poll_fd();
    status.Update(WatchSlot(kFirstOutput + static_cast<int>(i), fd, POLLIN));
  }
  return status;
}

absl::Status PolledChild::WatchSlot(int slot, int fd, short events) {
  Interest& interest = interests_[static_cast<size_t>(slot)];
  if (interest.fd == fd && (fd < 0 || interest.events == events)) {
    return absl::OkStatus();
  }
  if (interest.fd >= 0 && interest.fd != fd) {
    loop_.Unwatch(interest.fd);
    interest = {};
  }
  if (fd < 0) return absl::OkStatus();
  absl::Status status =
      loop_.Watch(id_, slot, fd, static_cast<uint32_t>(events),
                  /*was_watched=*/interest.fd >= 0);
  if (status.ok()) interest = {fd, events};
  return status;
}

void PolledChild::UnwatchAll() {
  for (Interest& interest : interests_) {
    if (interest.fd >= 0) loop_.Unwatch(interest.fd);
    interest = {};
  }
}

absl::Time PolledChild::NextTime() const {
  absl::Time next = std::min(child_->deadline(), retry_);
  if (escalation_ != nullptr) next = std::min(next, escalation_->deadline());
  if (limits_ == nullptr || child_->end().HasExited()) return next;
  const absl::Time idle_since = paused_ ? MonotonicNow() : last_output_;
  return std::min(
      {next, started_ + limits_->timeout, idle_since + limits_->idle_timeout});
}

void PolledChild::SetTimer() {
  const absl::Time next = NextTime();
  // A timer that fires too early finds no work, and sets the next one.
  if (next == absl::InfiniteFuture() ||
      (timer_.has_value() && timer_->first <= next)) {
    return;
  }
  if (timer_.has_value()) loop_.Cancel(*timer_);
  timer_ = loop_.At(next, [this] { OnTime(); });
}

}  // namespace asyncproc::internal
