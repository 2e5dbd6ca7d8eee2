#include "asyncproc/process_protocol.h"

#include <unistd.h>

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/loop/child_set.h"
#include "asyncproc/internal/loop/event_loop.h"
#include "asyncproc/internal/loop/poll_children.h"
#include "asyncproc/internal/loop/polled_child.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"

namespace asyncproc {

using internal::ChildEvent;
using internal::EventLoop;
using internal::PolledChild;

absl::StatusOr<PolledChild*> ProcessTransport::ChildFor(
    absl::string_view call) const {
  if (child_ != nullptr) return child_;
  if (pid_ != 0) {
    return absl::NotFoundError(
        absl::StrCat("cannot ", call, " ", name_, ": it has ended"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("cannot ", call,
                   " the child of this protocol: it has not been started "
                   "(Reactor::Spawn)"));
}

absl::Status ProcessTransport::Write(absl::string_view data) {
  absl::StatusOr<PolledChild*> child = ChildFor("write to");
  return child.ok() ? (*child)->Write(data) : child.status();
}

absl::Status ProcessTransport::WriteSequence(
    absl::Span<const absl::string_view> pieces) {
  for (absl::string_view piece : pieces) {
    if (absl::Status status = Write(piece); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ProcessTransport::CloseStdin() {
  absl::StatusOr<PolledChild*> child = ChildFor("close stdin of");
  return child.ok() ? (*child)->CloseInput() : child.status();
}

absl::Status ProcessTransport::CloseChildFd(int fd) {
  absl::StatusOr<PolledChild*> child =
      ChildFor(absl::StrCat("close descriptor ", fd, " of"));
  return child.ok() ? (*child)->CloseOutput(fd) : child.status();
}

absl::Status ProcessTransport::LoseConnection() {
  absl::StatusOr<PolledChild*> child = ChildFor("close the pipes of");
  if (!child.ok()) return child.status();
  (*child)->CloseInput().IgnoreError();
  (*child)->CloseOutputs();
  return absl::OkStatus();
}

absl::Status ProcessTransport::SignalProcess(int signal) {
  absl::StatusOr<PolledChild*> child =
      ChildFor(absl::StrCat("send ", SignalDescription(signal), " to"));
  return child.ok() ? (*child)->Signal(signal) : child.status();
}

absl::Status ProcessTransport::Terminate(Escalation escalation) {
  absl::StatusOr<PolledChild*> child = ChildFor("end");
  return child.ok() ? (*child)->Terminate(std::move(escalation))
                    : child.status();
}

absl::StatusOr<Termination> ProcessTransport::termination() const {
  if (child_ == nullptr && pid_ != 0) return termination_;
  absl::StatusOr<PolledChild*> child = ChildFor("get the termination of");
  if (!child.ok()) return child.status();
  return (*child)->termination();
}

absl::Status ProcessTransport::PauseProducing() {
  absl::StatusOr<PolledChild*> child = ChildFor("pause");
  if (child.ok()) (*child)->Pause();
  return child.status();
}

absl::Status ProcessTransport::ResumeProducing() {
  absl::StatusOr<PolledChild*> child = ChildFor("resume");
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

struct Reactor::Core {
  explicit Core(std::unique_ptr<EventLoop> loop)
      : loop(std::move(loop)), children(*this->loop) {}

  bool TakeStop() ABSL_LOCKS_EXCLUDED(mu) {
    internal::MutexLock lock(mu);
    return std::exchange(stopped, false);
  }
  void Dispatch(internal::ChildSet::Event event);

  const internal::ForkStamp stamp;
  const std::unique_ptr<EventLoop> loop;
  absl::flat_hash_map<uint64_t, std::shared_ptr<ProcessProtocol>> protocols;
  internal::ChildSet children;
  uint64_t last_cookie = 0;
  bool running = false;

  absl::Mutex mu;
  bool stopped ABSL_GUARDED_BY(mu) = false;
};

Reactor::Reactor(std::unique_ptr<Core> core) : core_(std::move(core)) {}

absl::StatusOr<std::unique_ptr<Reactor>> Reactor::Create() {
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop.ok()) return loop.status();
  return absl::WrapUnique(
      new Reactor(std::make_unique<Core>(*std::move(loop))));
}

Reactor::~Reactor() {
  if (core_->stamp.IsForkedCopy()) {
    core_->children.CloseInForkedCopy();
    core_->loop->CloseInForkedCopy();
    core_.release();
    return;
  }
  // The transports may live on, with other owners of the protocols.
  for (const auto& [cookie, protocol] : core_->protocols) {
    protocol->transport_.child_ = nullptr;
    protocol->transport_.termination_ = absl::NotFoundError(
        absl::StrCat(protocol->transport_.name_,
                     " was killed by the destructor of its reactor"));
  }
}

absl::Status Reactor::Spawn(std::shared_ptr<ProcessProtocol> protocol,
                            const Command& command,
                            const std::vector<int>& further_pipes,
                            const ChildLimits& limits) {
  ProcessTransport& transport = protocol->transport_;
  if (transport.pid_ != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot start ", command.DebugString(),
                     ": its protocol already had a child, ", transport.name_));
  }
  absl::StatusOr<PolledChild*> child = core_->children.Start(
      core_->last_cookie + 1, command, further_pipes, limits);
  if (!child.ok()) return child.status();
  transport.child_ = *child;
  transport.pid_ = (*child)->reaper().pid();
  transport.name_ = (*child)->Name();
  core_->protocols[++core_->last_cookie] = std::move(protocol);
  return absl::OkStatus();
}

absl::Status Reactor::Run(absl::Duration timeout) {
  return RunWhile(timeout, /*until_all_ended=*/false);
}

absl::Status Reactor::RunUntilAllEnded(absl::Duration timeout) {
  return RunWhile(timeout, /*until_all_ended=*/true);
}

absl::Status Reactor::RunWhile(absl::Duration timeout, bool until_all_ended) {
  if (core_->running) {
    return absl::FailedPreconditionError(
        "Reactor::Run was called during another Run");
  }
  core_->running = true;
  core_->loop->BeginSteps();
  const absl::Cleanup reset = [this] {
    core_->running = false;
    core_->loop->EndSteps(core_->children.HasEvents());
  };
  return internal::PollChildren(
      *core_->loop, timeout,
      [&]() -> std::optional<absl::Status> {
        for (;;) {
          if (core_->TakeStop()) return absl::OkStatus();
          auto event = core_->children.TakeEvent();
          if (!event.has_value()) break;
          core_->Dispatch(*std::move(event));
        }
        if (until_all_ended && core_->children.empty()) {
          return absl::OkStatus();
        }
        return std::nullopt;
      },
      [&] {
        return core_->children.empty()
                   ? "the reactor was not stopped"
                   : core_->children.StillRunning(/*queued=*/0);
      });
}

void Reactor::Stop() {
  {
    internal::MutexLock lock(core_->mu);
    core_->stopped = true;
  }
  core_->loop->Post([] {});
}

Reactor::CallId Reactor::CallLater(absl::Duration delay,
                                   std::function<void()> function) {
  return core_->loop->At(internal::DeadlineAfter(delay), std::move(function));
}

bool Reactor::CancelCall(CallId call) { return core_->loop->Cancel(call); }

void Reactor::CallFromThread(std::function<void()> function) {
  core_->loop->Post(std::move(function));
}

absl::StatusOr<int> Reactor::fd() { return core_->loop->fd(); }

size_t Reactor::running() const { return core_->children.size(); }

void Reactor::Core::Dispatch(internal::ChildSet::Event event) {
  PolledChild* const child = event.child;
  // A copy: the protocol must live until the call returns.
  const std::shared_ptr<ProcessProtocol> protocol =
      protocols.at(child->cookie());
  switch (event.what.kind) {
    case ChildEvent::Kind::kStarted:
      return protocol->ConnectionMade();
    case ChildEvent::Kind::kOutput:
      return protocol->ChildDataReceived(event.what.fd,
                                         event.what.output.view());
    case ChildEvent::Kind::kOutputClosed:
      return protocol->ChildConnectionLost(event.what.fd);
    case ChildEvent::Kind::kInputClosed:
      return protocol->ChildConnectionLost(STDIN_FILENO);
    case ChildEvent::Kind::kTimedOut:
      return protocol->ProcessTimedOut(
          absl::DeadlineExceededError(event.what.limit));
    case ChildEvent::Kind::kExited:
      return protocol->ProcessExited(child->status());
    case ChildEvent::Kind::kEnded:
      break;
  }
  const absl::StatusOr<ExitStatus> status = child->status();
  protocol->transport_.termination_ = child->termination();
  protocol->transport_.child_ = nullptr;
  protocols.erase(child->cookie());
  children.Remove(child);
  protocol->ProcessEnded(status);
}

}  // namespace asyncproc
