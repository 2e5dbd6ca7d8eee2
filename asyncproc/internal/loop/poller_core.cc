#include "asyncproc/internal/loop/poller_core.h"

#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/loop/child_set.h"
#include "asyncproc/internal/loop/event_loop.h"
#include "asyncproc/internal/loop/poll_children.h"
#include "asyncproc/internal/loop/polled_child.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/text/prefixed.h"

namespace asyncproc::internal {
namespace {

// The error that StdinWriter gives for a running child that reads nothing.
absl::Status CheckQueuedInput(const Command& command, size_t size) {
  if (command.input_limit == 0 || size <= command.input_limit) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("cannot write to ", command.DebugString(), ": ", size,
                   " bytes for its stdin exceed the limit of ",
                   command.input_limit, " (Command::input_limit)"));
}

}  // namespace

PollerCore::PollerCore(Client& client, size_t max_running)
    : client_(client), max_running_(max_running) {}

PollerCore::~PollerCore() {
  if (loop_ == nullptr || !stamp_.IsForkedCopy()) return;
  children_.release()->CloseInForkedCopy();
  loop_.release()->CloseInForkedCopy();
}

absl::Status PollerCore::MakeLoop() {
  if (loop_ != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop.ok()) return loop.status();
  loop_ = *std::move(loop);
  children_ = std::make_unique<ChildSet>(*loop_);
  MutexLock lock(mu_);
  waker_ = loop_.get();
  return absl::OkStatus();
}

absl::StatusOr<PollerCore::Id> PollerCore::Run(Command command,
                                               std::optional<std::string> input,
                                               const ChildLimits& limits) {
  if (absl::Status status = MakeLoop(); !status.ok()) return status;
  if (input.has_value() && !command.in.HasHostEnd()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot run ", command.DebugString(),
                     ": there is input for a stdin that is not a pipe: it is ",
                     command.in.ToString()));
  }
  const bool terminal = command.pty.has_value();
  if (!input.has_value() && command.out.kind() == Stdio::Kind::kToStdin) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot run ", command.DebugString(),
        ": its stdout shares the socket of stdin; run it with input, which "
        "may be empty"));
  }
  if (!input.has_value() && !terminal && command.in.HasHostEnd()) {
    command.in = Stdio::Null();
  }
  const Id id = last_id_ + 1;
  if (HasRoom() && queue_.empty()) {
    absl::Status status = Start(id, command, input.value_or(""), limits);
    if (!status.ok()) return status;
  } else {
    absl::Status status = CheckPolledChild(command, limits);
    status.Update(CheckQueuedInput(command, input.value_or("").size()));
    if (!status.ok()) return status;
    auto waiting = std::make_unique<Waiting>();
    *waiting = {std::move(command), limits, std::move(input)};
    entries_[id].waiting = std::move(waiting);
    queue_.push_back(id);
  }
  last_id_ = id;
  return id;
}

absl::Status PollerCore::Start(Id id, const Command& command,
                               absl::string_view input,
                               const ChildLimits& limits) {
  absl::StatusOr<PolledChild*> child =
      children_->Start(id, command, {}, limits);
  if (!child.ok()) return child.status();
  if (!input.empty()) {
    absl::Status status = (*child)->Write(input);
    // A child that does not read its stdin is not known here, nor an error.
    if (absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status)) {
      children_->Remove(*child);
      return status;
    }
  }
  Entry& entry = entries_[id];
  entry.child = *child;
  ++running_;
  return absl::OkStatus();
}

std::string PollerCore::Name(const Entry& entry) const {
  return entry.child != nullptr ? entry.child->Name()
                                : entry.waiting->command.DebugString();
}

absl::Status PollerCore::NotEnded(Id id) const {
  return absl::UnavailableError(
      absl::StrCat(Name(entries_.at(id)), " has not ended"));
}

absl::Status PollerCore::NotStarted(absl::string_view call,
                                    const Entry& entry) const {
  if (!entry.failure.ok()) return entry.failure;
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot ", call, " ", Name(entry), ": it has not been started yet"));
}

absl::Status PollerCore::SendInput(Id id, absl::string_view data) {
  Entry& entry = entries_[id];
  if (entry.child != nullptr) return entry.child->Write(data);
  if (!entry.failure.ok()) return entry.failure;
  if (!entry.waiting->input.has_value() || entry.waiting->input_closed) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot write to ", Name(entry), ": ",
                     entry.waiting->input_closed ? "stdin has been closed"
                                                 : "its stdin is not a pipe"));
  }
  std::string& input = *entry.waiting->input;
  absl::Status status =
      CheckQueuedInput(entry.waiting->command, input.size() + data.size());
  if (status.ok()) input.append(data.data(), data.size());
  return status;
}

absl::Status PollerCore::CloseInput(Id id) {
  Entry& entry = entries_[id];
  if (entry.child != nullptr) return entry.child->CloseInput();
  if (!entry.failure.ok()) return entry.failure;
  if (!entry.waiting->input.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot close stdin of ", Name(entry), ": its stdin is not a pipe"));
  }
  entry.waiting->input_closed = true;
  return absl::OkStatus();
}

absl::Status PollerCore::SendSignal(Id id, int signal) {
  const Entry& entry = entries_[id];
  if (entry.child != nullptr) return entry.child->Signal(signal);
  return NotStarted(absl::StrCat("send ", SignalDescription(signal), " to"),
                    entry);
}

absl::Status PollerCore::Terminate(Id id, Escalation escalation) {
  Entry& entry = entries_[id];
  if (entry.child != nullptr) {
    return entry.child->Terminate(std::move(escalation));
  }
  if (!entry.failure.ok()) return absl::OkStatus();
  if (absl::Status status = escalation.Validate(); !status.ok()) {
    return Prefixed(absl::StrCat("cannot end ", Name(entry)), status);
  }
  entry.failure = absl::CancelledError(
      absl::StrCat(Name(entry), " was terminated before it was started"));
  entry.waiting = nullptr;
  failed_.push_back(id);
  loop_->SetPending(true);
  return absl::OkStatus();
}

void PollerCore::Remove(Id id) {
  const auto found = entries_.find(id);
  if (found->second.child != nullptr) {
    children_->Remove(found->second.child);
    --running_;
  }
  entries_.erase(found);
  // There may be room now for a queued child.
  if (HasWork()) loop_->SetPending(true);
}

absl::StatusOr<pid_t> PollerCore::GetPid(Id id) const {
  const Entry& entry = entries_.at(id);
  if (entry.child != nullptr) return entry.child->reaper().pid();
  return NotStarted("get the pid of", entry);
}

absl::StatusOr<Termination> PollerCore::GetTermination(Id id) const {
  const Entry& entry = entries_.at(id);
  if (entry.child != nullptr) return entry.child->termination();
  return absl::NotFoundError(
      entry.failure.ok()
          ? absl::StrCat(Name(entry), " has not been started yet")
          : std::string(entry.failure.message()));
}

void PollerCore::Stop() {
  stopped_ = true;
  MutexLock lock(mu_);
  if (waker_ != nullptr) waker_->Post([] {});
}

absl::StatusOr<int> PollerCore::fd() {
  if (absl::Status status = MakeLoop(); !status.ok()) return status;
  absl::StatusOr<int> fd = loop_->fd();
  if (fd.ok() && !polling_) loop_->SetPending(HasWork());
  return fd;
}

absl::Status PollerCore::Poll(absl::Duration timeout,
                              const std::function<bool()>* done) {
  if (polling_) {
    return absl::FailedPreconditionError("Poll was called by a callback");
  }
  polling_ = true;
  const absl::Cleanup reset = [this] { polling_ = false; };
  return PollUnguarded(timeout, done);
}

absl::Status PollerCore::PollUnguarded(absl::Duration timeout,
                                       const std::function<bool()>* done) {
  if (loop_ == nullptr) return *HandleEvents(done);  // No child was ever run.
  loop_->BeginSteps();
  const absl::Cleanup end = [this] { loop_->EndSteps(HasWork()); };
  return PollChildren(
      *loop_, timeout, [&] { return HandleEvents(done); },
      [&] { return children_->StillRunning(queued()); });
}

std::optional<absl::Status> PollerCore::HandleEvents(
    const std::function<bool()>* done) {
  for (;;) {
    if (done != nullptr && (*done)()) return absl::OkStatus();
    if (stopped_.exchange(false)) return absl::CancelledError("stopped");
    absl::Status status;
    if (children_ == nullptr) {
      // No child was ever run.
    } else if (std::optional<ChildSet::Event> event = children_->TakeEvent()) {
      status = Dispatch(*event->child, std::move(event->what));
      if (!status.ok()) return status;
      continue;
    }
    if (!failed_.empty() || (!queue_.empty() && HasRoom())) {
      status = AdvanceQueue();
      if (!status.ok()) return status;
      continue;
    }
    if (!entries_.empty()) return std::nullopt;
    return done == nullptr ? absl::OkStatus()
                           : absl::OutOfRangeError("all children have ended");
  }
}

bool PollerCore::HasWork() const {
  return stopped_ || children_->HasEvents() || !failed_.empty() ||
         (!queue_.empty() && HasRoom());
}

absl::Status PollerCore::AdvanceQueue() {
  if (!failed_.empty()) {
    const Id id = failed_.front();
    failed_.pop_front();
    const auto found = entries_.find(id);
    if (found == entries_.end()) return absl::OkStatus();
    const absl::Status failure = found->second.failure;
    entries_.erase(found);
    return client_.HandleEnded(id, failure,
                               absl::NotFoundError(failure.message()));
  }
  if (queue_.empty() || !HasRoom()) return absl::OkStatus();
  const Id id = queue_.front();
  queue_.pop_front();
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.waiting == nullptr) {
    return absl::OkStatus();
  }
  const std::unique_ptr<Waiting> waiting = std::move(found->second.waiting);
  absl::Status status =
      Start(id, waiting->command, waiting->input.value_or(""), waiting->limits);
  if (!status.ok()) {
    entries_[id].failure = status;
    failed_.push_front(id);
    return absl::OkStatus();
  }
  if (waiting->input_closed) CloseInput(id).IgnoreError();
  return absl::OkStatus();
}

absl::Status PollerCore::Dispatch(PolledChild& child, ChildEvent event) {
  const Id id = child.cookie();
  switch (event.kind) {
    case ChildEvent::Kind::kStarted:
      return client_.HandleStarted(id);
    case ChildEvent::Kind::kOutput:
      return client_.HandleOutput(
          id, event.fd == STDERR_FILENO ? ChildStream::kErr : ChildStream::kOut,
          event.output.view());
    case ChildEvent::Kind::kTimedOut:
      return client_.HandleTimeout(
          id, absl::DeadlineExceededError(std::move(event.limit)));
    case ChildEvent::Kind::kEnded: {
      absl::StatusOr<ExitStatus> status = child.status();
      absl::StatusOr<Termination> termination = child.termination();
      Remove(id);
      return client_.HandleEnded(id, std::move(status), std::move(termination));
    }
    case ChildEvent::Kind::kOutputClosed:
    case ChildEvent::Kind::kInputClosed:
    case ChildEvent::Kind::kExited:
      break;
  }
  return absl::OkStatus();
}

}  // namespace asyncproc::internal
