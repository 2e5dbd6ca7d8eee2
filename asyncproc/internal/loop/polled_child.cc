#include "asyncproc/internal/loop/polled_child.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/child_stream.h"
#include "asyncproc/internal/end/diagnose_child.h"
#include "asyncproc/internal/io/child_observer.h"
#include "asyncproc/internal/io/pipe_sink.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/spawn/launch.h"

namespace asyncproc::internal {
namespace {

// What a pipe holds, as a rule.
constexpr size_t kReadSize = 64 * 1024;

// When to look again for what the loop had no room for.
constexpr absl::Duration kRetry = absl::Milliseconds(100);

// More than this is given back when all events have been taken.
constexpr size_t kKeptEvents = 2;

absl::Status Validate(const ChildLimits& limits) {
  if (limits.timeout < absl::ZeroDuration() ||
      limits.idle_timeout < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("a timeout of a child is negative");
  }
  return limits.escalation.Validate();
}

}  // namespace

class PolledChild::Sink final : public PipeSink {
 public:
  Sink(PolledChild* child, int number) : child_(child), number_(number) {}

  Fed Feed(int fd, size_t /*owed*/, size_t* taken) override {
    *taken = 0;
    char buffer[kReadSize];
    ssize_t count;
    do {
      count = GetOs().Read(fd, buffer, sizeof(buffer));
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) return Fed::kEmpty;
    // EIO is how the end of a terminal looks from the other side.
    if (count <= 0) return Fed::kEnd;
    *taken = static_cast<size_t>(count);
    bytes_ += *taken;
    if (!refused_) child_->OnOutput(number_, {buffer, *taken});
    return *taken == sizeof(buffer) ? Fed::kMore : Fed::kEmpty;
  }

  void Finish(absl::Status /*why*/) override {
    if (std::exchange(finished_, true)) return;
    child_->Emit({ChildEvent::Kind::kOutputClosed, number_, ""});
  }

  bool HasRoom() const override { return !child_->paused_; }
  bool IsRefused() const override { return refused_; }
  // Nobody waits by it, so that the next is never called; and a child of a loop
  // is not observed: see Start.
  uint64_t WantedSync() const override { return 0; }
  void Synced(uint64_t /*wanted*/) override {}
  void Observe(std::shared_ptr<ChildObserver> /*observer*/,
               ChildStream /*stream*/) override {}
  Progress progress() const override { return {bytes_, 0, finished_}; }

  int number() const { return number_; }
  bool finished() const { return finished_; }
  void Refuse() { refused_ = true; }

 private:
  PolledChild* const child_;
  const int number_;
  uint64_t bytes_ = 0;
  bool refused_ = false;
  bool finished_ = false;
};

PolledChild::PolledChild(EventLoop& loop, Listener& listener, uint64_t cookie)
    : loop_(loop), listener_(listener), id_(loop.Add(this)), cookie_(cookie) {}

absl::Status CheckPolledChild(const Command& command,
                              const ChildLimits& limits) {
  if (command.observer != nullptr) {
    return absl::InvalidArgumentError(
        "a child of many that one thread drives cannot be recorded");
  }
  absl::Status status = Validate(limits);
  status.Update(CheckCommand(command));
  return status;
}

absl::StatusOr<std::unique_ptr<PolledChild>> PolledChild::Start(
    EventLoop& loop, Listener& listener, uint64_t cookie,
    const Command& command, const std::vector<int>& further_pipes,
    const ChildLimits& limits) {
  if (absl::Status status = CheckPolledChild(command, limits); !status.ok()) {
    return status;
  }
  if (further_pipes.size() + ChildIo::kUsualSlots >= EventLoop::kMostSlots) {
    return absl::InvalidArgumentError("too many further pipes");
  }
  auto child = absl::WrapUnique(new PolledChild(loop, listener, cookie));
  child->sinks_.reserve(further_pipes.size() + 2);
  for (int number : {STDOUT_FILENO, STDERR_FILENO}) {
    child->sinks_.emplace_back(child.get(), number);
  }
  for (int number : further_pipes) {
    child->sinks_.emplace_back(child.get(), number);
  }
  // They live as long as the child's ChildIo by being declared before it.
  const std::shared_ptr<void> unowned;
  ChildIo::Sinks sinks;
  for (Sink& sink : child->sinks_) {
    sinks.push_back(std::shared_ptr<PipeSink>(unowned, &sink));
  }
  absl::StatusOr<std::unique_ptr<ChildIo>> io =
      ChildIo::Start(command, std::shared_ptr<Driver>(unowned, child.get()),
                     std::move(sinks), further_pipes);
  if (!io.ok()) return io.status();
  child->io_ = *std::move(io);
  child->started_ = child->last_output_ = MonotonicNow();
  child->interests_.resize(static_cast<size_t>(child->io_->slot_count()) + 1);
  if (!limits.unlimited()) {
    child->limits_ = std::make_unique<ChildLimits>(limits);
  }
  if (absl::Status status = child->WatchSlots(); !status.ok()) return status;
  child->running_ = true;
  child->Emit({ChildEvent::Kind::kStarted, -1, ""});
  child->SetTimer();
  return child;
}

PolledChild::~PolledChild() {
  running_ = false;
  UnwatchAll();
  escalation_ = nullptr;
  if (timer_.has_value()) loop_.Cancel(*timer_);
  if (io_ != nullptr && !io_->ended() && !io_->reaper().KillAndReap()) {
    reaper().Detach();
  }
  io_ = nullptr;
  loop_.Remove(id_);
}

absl::StatusOr<ExitStatus> PolledChild::status() {
  if (auto result = io_->result()) return *std::move(result);
  if (auto result = io_->reaper().TryReap()) return *std::move(result);
  // Not called before the end has been told.
  return absl::UnavailableError("the process still runs");
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

absl::Status PolledChild::CloseOutput(int fd) {
  for (Sink& sink : sinks_) {
    if (sink.number() != fd || sink.finished()) continue;
    sink.Refuse();
    Wake();
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat(
      "descriptor ", fd, " of the child is not a pipe, or has been closed"));
}

void PolledChild::CloseOutputs() {
  for (Sink& sink : sinks_) sink.Refuse();
  Wake();
}

absl::Status PolledChild::Terminate(Escalation escalation) {
  if (absl::Status status = escalation.Validate(); !status.ok()) return status;
  if (ended_told_) return absl::OkStatus();
  limits_ = nullptr;
  escalation_ = std::make_unique<EscalationRun>(*io_, std::move(escalation));
  Update();
  return absl::OkStatus();
}

void PolledChild::Wake() {
  if (woken_.exchange(true)) return;
  loop_.Post([loop = &loop_, id = id_] {
    auto* const child = static_cast<PolledChild*>(loop->Find(id));
    if (child == nullptr) return;
    child->woken_ = false;
    child->io_->set_group_wanted(child->escalation_ != nullptr);
    child->io_->HandleWake();
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
  if (slot < io_->slot_count()) {
    // When it ends now, nobody is told before it is too late to end the rest.
    io_->set_group_wanted(escalation_ != nullptr);
    // The bits of epoll are those of poll.
    io_->Handle(static_cast<ChildIo::Slot>(slot), static_cast<short>(events));
  }
  Update();
}

void PolledChild::OnOutput(int fd, absl::string_view data) {
  if (limits_ != nullptr) last_output_ = MonotonicNow();
  Emit({ChildEvent::Kind::kOutput, fd, std::string(data)});
}

void PolledChild::OnTime() {
  timer_.reset();
  retry_ = absl::InfiniteFuture();
  io_->HandleTime();
  CheckLimits();
  Update();
}

void PolledChild::CheckLimits() {
  if (limits_ == nullptr || io_->ended()) return;
  const absl::Time now = MonotonicNow();
  // It is our doing that nothing comes.
  if (paused_) last_output_ = now;
  std::string which;
  if (now - started_ >= limits_->timeout) {
    which = absl::StrCat("still runs after ",
                         absl::FormatDuration(limits_->timeout));
  } else if (now - last_output_ >= limits_->idle_timeout) {
    which = absl::StrCat("has said nothing for ",
                         absl::FormatDuration(limits_->idle_timeout));
  } else {
    return;
  }
  Emit({ChildEvent::Kind::kTimedOut, -1,
        absl::StrCat("process ", reaper().pid(), " ", which, ": ",
                     DiagnoseChild(*io_).explanation)});
  Terminate(Escalation(limits_->escalation)).IgnoreError();
}

void PolledChild::Update() {
  if (ended_told_) return;
  if (escalation_ != nullptr) AdvanceEscalation();
  if (io_->input() != nullptr && io_->fd(ChildIo::kIn) < 0 &&
      !std::exchange(input_closed_told_, true)) {
    Emit({ChildEvent::Kind::kInputClosed, -1, ""});
  }
  if (io_->ended() && !std::exchange(exited_told_, true)) {
    Emit({ChildEvent::Kind::kExited, -1, ""});
  }
  if (io_->settled() && escalation_ == nullptr) {
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
  io_->Abandon();
  if (io_->input() != nullptr && !std::exchange(input_closed_told_, true)) {
    Emit({ChildEvent::Kind::kInputClosed, -1, ""});
  }
  ended_told_ = true;
  Emit({ChildEvent::Kind::kEnded, -1, ""});
}

void PolledChild::AdvanceEscalation() {
  if (escalation_->Advance()) {
    escalation_ = nullptr;
    WatchSlot(io_->slot_count(), -1, 0).IgnoreError();
    survivor_.Reset();
  } else if (io_->ended() && !WatchSurvivor().ok()) {
    // No descriptor, or no memory, is left.
    retry_ = MonotonicNow() + kRetry;
  }
}

// A copy, so that it stays open when the target is no longer looked for.
absl::Status PolledChild::WatchSurvivor() {
  const int slot = io_->slot_count();
  WatchSlot(slot, -1, 0).IgnoreError();
  survivor_ = UniqueFd(
      GetOs().Duplicate(escalation_->targets().AnyPidfd(), STDERR_FILENO + 1));
  if (!survivor_.valid()) return absl::ErrnoToStatus(errno, "dup");
  return WatchSlot(slot, survivor_.get(), POLLIN);
}

absl::Status PolledChild::WatchSlots() {
  absl::Status status;
  for (int i = 0; i < io_->slot_count(); ++i) {
    const auto slot = static_cast<ChildIo::Slot>(i);
    const int fd = io_->fd(slot);
    status.Update(WatchSlot(i, fd, fd < 0 ? short{0} : io_->events(slot)));
  }
  return status;
}

absl::Status PolledChild::WatchSlot(int slot, int fd, short events) {
  Interest& interest = interests_[static_cast<size_t>(slot)];
  if (interest.fd == fd && interest.events == events) return absl::OkStatus();
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
  absl::Time next = std::min(io_->deadline(), retry_);
  if (escalation_ != nullptr) next = std::min(next, escalation_->deadline());
  if (limits_ == nullptr || io_->ended()) return next;
  const absl::Time idle_since = paused_ ? MonotonicNow() : last_output_;
  return std::min(
      {next, started_ + limits_->timeout, idle_since + limits_->idle_timeout});
}

void PolledChild::SetTimer() {
  const absl::Time next = NextTime();
  // One that is too early finds nothing to do, and sets the next.
  if (next == absl::InfiniteFuture() ||
      (timer_.has_value() && timer_->first <= next)) {
    return;
  }
  if (timer_.has_value()) loop_.Cancel(*timer_);
  timer_ = loop_.At(next, [this] { OnTime(); });
}

}  // namespace asyncproc::internal
