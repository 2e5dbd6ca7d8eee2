#include "asyncproc/process_protocol.h"

#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

using internal::ChildEvent;
using internal::EventLoop;
using internal::PolledChild;

absl::StatusOr<PolledChild*> ProcessTransport::Child() const {
  if (child_ != nullptr) return child_;
  if (pid_ != 0) return absl::NotFoundError("the child has ended");
  return absl::FailedPreconditionError("the child has not been started");
}

absl::Status ProcessTransport::Write(absl::string_view data) {
  absl::StatusOr<PolledChild*> child = Child();
  if (!child.ok()) return child.status();
  if ((*child)->input() != nullptr) return (*child)->input()->Write(data);
  return absl::FailedPreconditionError("stdin of the child is not a pipe");
}

absl::Status ProcessTransport::WriteSequence(
    absl::Span<const absl::string_view> pieces) {
  for (absl::string_view piece : pieces) {
    if (absl::Status status = Write(piece); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ProcessTransport::CloseStdin() {
  absl::StatusOr<PolledChild*> child = Child();
  if (!child.ok()) return child.status();
  if ((*child)->input() != nullptr) return (*child)->input()->Close();
  return absl::FailedPreconditionError("stdin of the child is not a pipe");
}

absl::Status ProcessTransport::CloseChildFd(int fd) {
  absl::StatusOr<PolledChild*> child = Child();
  return child.ok() ? (*child)->CloseOutput(fd) : child.status();
}

absl::Status ProcessTransport::LoseConnection() {
  absl::StatusOr<PolledChild*> child = Child();
  if (!child.ok()) return child.status();
  if ((*child)->input() != nullptr) (*child)->input()->Close().IgnoreError();
  (*child)->CloseOutputs();
  return absl::OkStatus();
}

absl::Status ProcessTransport::SignalProcess(int signal) {
  absl::StatusOr<PolledChild*> child = Child();
  return child.ok() ? (*child)->reaper().Signal(signal) : child.status();
}

absl::Status ProcessTransport::Terminate(Escalation escalation) {
  absl::StatusOr<PolledChild*> child = Child();
  return child.ok() ? (*child)->Terminate(std::move(escalation))
                    : child.status();
}

absl::Status ProcessTransport::PauseProducing() {
  absl::StatusOr<PolledChild*> child = Child();
  if (child.ok()) (*child)->Pause();
  return child.status();
}

absl::Status ProcessTransport::ResumeProducing() {
  absl::StatusOr<PolledChild*> child = Child();
  if (child.ok()) (*child)->Resume();
  return child.status();
}

void ProcessProtocol::ChildDataReceived(int fd, absl::string_view data) {
  if (fd == STDOUT_FILENO) OutReceived(data);
  if (fd == STDERR_FILENO) ErrReceived(data);
}

void ProcessProtocol::ChildConnectionLost(int fd) {
  if (fd == STDIN_FILENO) InConnectionLost();
  if (fd == STDOUT_FILENO) OutConnectionLost();
  if (fd == STDERR_FILENO) ErrConnectionLost();
}

Reactor::Reactor(std::unique_ptr<EventLoop> loop)
    : loop_(std::move(loop)), children_(*loop_) {}

absl::StatusOr<std::unique_ptr<Reactor>> Reactor::Create() {
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop.ok()) return loop.status();
  return absl::WrapUnique(new Reactor(*std::move(loop)));
}

Reactor::~Reactor() {
  // Their transports may live on, with those who share the protocols.
  for (const auto& [cookie, protocol] : protocols_) {
    protocol->transport_.child_ = nullptr;
  }
}

absl::Status Reactor::Spawn(std::shared_ptr<ProcessProtocol> protocol,
                            const Command& command,
                            const std::vector<int>& further_pipes,
                            const ChildLimits& limits) {
  ProcessTransport& transport = protocol->transport_;
  if (transport.pid_ != 0) {
    return absl::FailedPreconditionError("the protocol has been used already");
  }
  absl::StatusOr<PolledChild*> child =
      children_.Start(last_cookie_ + 1, command, further_pipes, limits);
  if (!child.ok()) return child.status();
  transport.child_ = *child;
  transport.pid_ = (*child)->reaper().pid();
  protocols_[++last_cookie_] = std::move(protocol);
  return absl::OkStatus();
}

absl::Status Reactor::Run(absl::Duration timeout) {
  return RunWhile(timeout, /*until_all_ended=*/false);
}

absl::Status Reactor::RunUntilAllEnded(absl::Duration timeout) {
  return RunWhile(timeout, /*until_all_ended=*/true);
}

absl::Status Reactor::RunWhile(absl::Duration timeout, bool until_all_ended) {
  if (running_) {
    return absl::FailedPreconditionError("the reactor is running");
  }
  running_ = true;
  const absl::Cleanup reset = [this] { running_ = false; };
  const absl::Time deadline = internal::DeadlineAfter(timeout);
  for (bool last = false;;) {
    if (TakeStop()) return absl::OkStatus();
    if (auto event = children_.TakeEvent()) {
      Dispatch(*std::move(event));
      continue;
    }
    if (until_all_ended && children_.empty()) return absl::OkStatus();
    if (last) {
      return absl::DeadlineExceededError(
          children_.empty() ? "not stopped in time" : "children still run");
    }
    last = internal::MonotonicNow() >= deadline;
    if (!last) {
      absl::Status status = internal::CheckWaitScopes();
      if (!status.ok()) return status;
    }
    loop_->Step(last ? deadline : internal::NextLook(deadline));
  }
}

bool Reactor::TakeStop() {
  internal::MutexLock lock(mu_);
  return std::exchange(stopped_, false);
}

void Reactor::Stop() {
  {
    internal::MutexLock lock(mu_);
    stopped_ = true;
  }
  loop_->Post([] {});
}

Reactor::CallId Reactor::CallLater(absl::Duration delay,
                                   std::function<void()> function) {
  return loop_->At(internal::DeadlineAfter(delay), std::move(function));
}

void Reactor::CallFromThread(std::function<void()> function) {
  loop_->Post(std::move(function));
}

void Reactor::Dispatch(internal::ChildSet::Event event) {
  PolledChild* const child = event.child;
  // A copy: the protocol lives until it has been called.
  const std::shared_ptr<ProcessProtocol> protocol =
      protocols_.at(child->cookie());
  switch (event.what.kind) {
    case ChildEvent::Kind::kStarted:
      return protocol->ConnectionMade();
    case ChildEvent::Kind::kOutput:
      return protocol->ChildDataReceived(event.what.fd, event.what.data);
    case ChildEvent::Kind::kOutputClosed:
      return protocol->ChildConnectionLost(event.what.fd);
    case ChildEvent::Kind::kInputClosed:
      return protocol->ChildConnectionLost(STDIN_FILENO);
    case ChildEvent::Kind::kTimedOut:
      return protocol->ProcessTimedOut(
          absl::DeadlineExceededError(event.what.data));
    case ChildEvent::Kind::kExited:
      return protocol->ProcessExited(child->status());
    case ChildEvent::Kind::kEnded:
      break;
  }
  const absl::StatusOr<ExitStatus> status = child->status();
  protocol->transport_.child_ = nullptr;
  protocols_.erase(child->cookie());
  children_.Remove(child);
  protocol->ProcessEnded(status);
}

}  // namespace asyncproc
