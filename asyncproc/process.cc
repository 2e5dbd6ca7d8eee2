#include "asyncproc/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/random.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/end/child_end.h"
#include "asyncproc/internal/io/child_process.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/terminate/child_inspector.h"
#include "asyncproc/internal/terminate/escalation_run.h"
#include "asyncproc/internal/terminate/termination_targets.h"
#include "asyncproc/internal/text/elapsed.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

using internal::ChildEnd;
using internal::ChildProcess;
using internal::DeadlineAfter;
using internal::MonotonicNow;

namespace {

// For the SIGKILL that ends the escalation in a destructor.
constexpr absl::Duration kLastGrace = absl::Seconds(1);

// The most children named in the message of WaitAny.
constexpr size_t kMostNamed = 3;

std::string Steps(const Escalation& escalation) {
  return absl::StrJoin(escalation.steps, ", ",
                       [](std::string* out, const EscalationStep& step) {
                         out->append(step.ToString());
                       });
}

// Calls a function when a child has ended, on a thread of its own.
class EndCallback {
 public:
  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<EndCallback>> Start(
      std::shared_ptr<ChildProcess> child,
      std::function<void(const absl::StatusOr<ExitStatus>&)> function) {
    auto self = std::make_unique<EndCallback>();
    auto run = [child = std::move(child), function = std::move(function),
                cancellation = self->cancellation_,
                kept = self->kept_]() mutable {
      kept->WaitForNotification();
      {
        const internal::WaitScope scope(cancellation);
        if (!child->end().AwaitSettled(absl::InfiniteFuture()).ok()) return;
      }
      const absl::StatusOr<ExitStatus> status = *child->end().result();
      // Destroying the Process in the function then leaves nothing open.
      child = nullptr;
      function(status);
    };
    absl::StatusOr<internal::Thread> thread =
        internal::Thread::Start("asyncproc-onend", std::move(run));
    if (!thread.ok()) return thread.status();
    self->thread_ = *std::move(thread);
    return self;
  }

  // Notified when the owner has stored this object, and does not touch it any
  // more: only then the function is called, which may destroy the owner.
  std::shared_ptr<absl::Notification> kept() const { return kept_; }

  // Waits for a running call, unless that call destroys this object.
  ~EndCallback() {
    cancellation_->Cancel();
    if (thread_.IsCurrent()) thread_.Detach();
  }

 private:
  const std::shared_ptr<internal::Cancellation> cancellation_ =
      std::make_shared<internal::Cancellation>();
  const std::shared_ptr<absl::Notification> kept_ =
      std::make_shared<absl::Notification>();
  internal::Thread thread_;
};

bool IsGivenUp(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace

struct Process::Core {
  Core(Command command, std::shared_ptr<ChildProcess> child)
      : command(std::move(command)),
        child(std::move(child)),
        out(this->child->output(ChildProcess::kOut).buffer(),
            this->child->output(ChildProcess::kOut).inode()),
        err(this->child->output(ChildProcess::kErr).buffer(),
            this->child->output(ChildProcess::kErr).inode()) {
    if (this->child->terminal() >= 0) {
      terminal.emplace(Terminal(this->child->terminal(), this->child->input(),
                                this->child->reaper().Name()));
    }
  }

  const internal::ForkStamp stamp;
  const Command command;
  const std::shared_ptr<ChildProcess> child;
  std::optional<Terminal> terminal;
  OutputStream out;
  OutputStream err;

  absl::Mutex mu;
  OnDestroy on_destroy ABSL_GUARDED_BY(mu) = command.on_destroy;
  std::vector<std::unique_ptr<EndCallback>> end_callbacks ABSL_GUARDED_BY(mu);
  bool is_destroyed ABSL_GUARDED_BY(mu) =
      false;  // By ~Process, which has begun.
};

absl::StatusOr<std::unique_ptr<Process>> Process::Spawn(Command command) {
  absl::StatusOr<std::unique_ptr<Process>> process = Start(std::move(command));
  // Not before the streams exist: bytes without a cursor are not kept.
  if (process.ok()) (*process)->Go();
  return process;
}

absl::StatusOr<std::unique_ptr<Process>> Process::Start(Command command) {
  ChildProcess::Options options;
  options.threads = true;
  options.bound = command.output_buffer;
  absl::StatusOr<std::shared_ptr<ChildProcess>> child =
      ChildProcess::Start(command, std::move(options));
  if (!child.ok()) return child.status();
  return absl::WrapUnique(new Process(
      std::make_unique<Core>(std::move(command), *std::move(child))));
}

Process::Process(std::unique_ptr<Core> core) : core_(std::move(core)) {}

bool Process::IsForkedCopy() const { return core_->stamp.IsForkedCopy(); }

void Process::Go() { core_->child->Go(); }

Process::~Process() {
  if (IsForkedCopy()) {
    core_.release()->child->CloseInForkedCopy();
    return;
  }
  {
    // The destructors of the callbacks wait without the lock: a callback may
    // call OnEnd.
    std::vector<std::unique_ptr<EndCallback>> callbacks;
    internal::MutexLock lock(core_->mu);
    core_->is_destroyed = true;
    callbacks.swap(core_->end_callbacks);
  }
  ChildProcess& child = *core_->child;
  const OnDestroy on_destroy = [this] {
    internal::MutexLock lock(core_->mu);
    return core_->on_destroy;
  }();
  const OnDestroy::Policy policy = on_destroy.policy();
  // The policy is carried out in full, even after the deadline of this thread.
  const internal::WaitShield shield;
  const bool settled = child.end().IsSettled();
  // Other processes of the group may outlive the child.
  if (policy == OnDestroy::Policy::kTerminate &&
      (!settled || on_destroy.escalation().scope != TerminationScope::kChild)) {
    TerminateAll(on_destroy.escalation());
  }
  if (!settled &&
      (policy == OnDestroy::Policy::kDetach || !child.KillAndReap())) {
    Detach();
    return;
  }
  // The last bytes of the child are for cursors and taps that outlive this
  // object.
  child.Stop();
}

void Process::Detach() { core_->child->Detach(); }

absl::Status Process::set_on_destroy(OnDestroy on_destroy) {
  Command changed = command();
  changed.on_destroy = on_destroy;
  if (absl::Status status = changed.Validate(); !status.ok()) {
    return Cannot("set on_destroy of", status);
  }
  internal::MutexLock lock(core_->mu);
  core_->on_destroy = std::move(on_destroy);
  return absl::OkStatus();
}

void Process::TerminateAll(Escalation escalation) {
  escalation.steps.push_back(EscalationStep::Signal(SIGKILL, kLastGrace));
  Terminate(escalation).IgnoreError();
}

Diagnosis Diagnose(Process& process) {
  return internal::DiagnoseChild(*process.core_->child);
}

std::vector<Diagnosis> DiagnoseAll(Child& child) {
  std::vector<Diagnosis> diagnoses;
  for (Process* const process : child.processes()) {
    if (process->IsAlive()) diagnoses.push_back(Diagnose(*process));
  }
  return diagnoses;
}

pid_t Process::pid() const { return core_->child->reaper().pid(); }

const Command& Process::command() const { return core_->command; }

OutputStream& Process::out() { return core_->out; }

OutputStream& Process::err() { return core_->err; }

Terminal* Process::pty() {
  return core_->terminal.has_value() ? &*core_->terminal : nullptr;
}

absl::Status Process::Cannot(absl::string_view what,
                             const absl::Status& why) const {
  if (why.ok()) return why;
  return internal::Prefixed(absl::StrCat("cannot ", what, " ", DebugString()),
                            why);
}

absl::Status Process::NoStdin() const {
  return Cannot("write to", absl::FailedPreconditionError(
                                absl::StrCat("its stdin is not a pipe: it is ",
                                             command().in.ToString())));
}

absl::Status Process::Write(absl::string_view data) {
  if (core_->child->input() == nullptr) return NoStdin();
  return Cannot("write to", core_->child->input()->Write(data));
}

absl::Status Process::Flush(absl::Duration timeout) {
  return WriteAndFlush("", timeout);
}

absl::Status Process::WriteAndFlush(absl::string_view data,
                                    absl::Duration timeout) {
  if (core_->child->input() == nullptr) return NoStdin();
  const absl::Time start = MonotonicNow();
  absl::Status status =
      core_->child->input()->WriteAndFlush(data, DeadlineAfter(timeout));
  if (!IsGivenUp(status)) return Cannot("write to", status);
  return GaveUp(status.code(), std::min(timeout, MonotonicNow() - start),
                absl::StrCat("has not read its stdin, of which ",
                             core_->child->input()->pending(), " bytes wait,"));
}

absl::Status Process::CloseStdin() {
  if (core_->child->input() == nullptr) return NoStdin();
  return Cannot("write to", core_->child->input()->Close());
}

absl::StatusOr<ExitStatus> Process::Result() const {
  std::optional<absl::StatusOr<ExitStatus>> result =
      core_->child->end().result();
  if (result.has_value()) return *std::move(result);
  return absl::UnavailableError(absl::StrCat(DebugString(), " still runs"));
}

absl::StatusOr<ExitStatus> Process::Wait(int flags) {
  if ((flags & ~WNOHANG) != 0) {
    return Cannot("wait for",
                  absl::InvalidArgumentError(absl::StrCat(
                      "the flags are ", flags, ", not 0 or WNOHANG")));
  }
  if ((flags & WNOHANG) != 0) return Result();
  return WaitFor(absl::InfiniteDuration());
}

absl::StatusOr<ExitStatus> Process::WaitFor(absl::Duration timeout) {
  const absl::Time start = MonotonicNow();
  absl::Status status =
      core_->child->end().AwaitSettled(DeadlineAfter(timeout));
  if (status.ok()) return Result();
  return GaveUp(status.code(), std::min(timeout, MonotonicNow() - start),
                "still runs");
}

absl::Status Process::OnEnd(
    std::function<void(const absl::StatusOr<ExitStatus>&)> callback) {
  if (callback == nullptr) {
    return Cannot("watch the end of",
                  absl::InvalidArgumentError("the callback is null"));
  }
  std::shared_ptr<absl::Notification> kept;
  {
    internal::MutexLock lock(core_->mu);
    if (core_->is_destroyed) {
      return Cannot("watch the end of",
                    absl::FailedPreconditionError("it is being destroyed"));
    }
    absl::StatusOr<std::unique_ptr<EndCallback>> started =
        EndCallback::Start(core_->child, std::move(callback));
    if (!started.ok()) return Cannot("watch the end of", started.status());
    kept = (*started)->kept();
    core_->end_callbacks.push_back(*std::move(started));
  }
  kept->Notify();
  return absl::OkStatus();
}

absl::StatusOr<size_t> WaitAny(absl::Span<Process* const> processes,
                               absl::Duration timeout) {
  const absl::Time start = MonotonicNow();
  std::vector<ChildEnd*> ends;
  std::vector<std::string> names;
  size_t more = 0;
  for (Process* const process : processes) {
    ends.push_back(process == nullptr ? nullptr
                                      : &process->core_->child->end());
    if (process == nullptr) continue;
    if (names.size() < kMostNamed) {
      names.push_back(process->DebugString());
    } else {
      ++more;
    }
  }
  if (names.empty()) {
    return absl::InvalidArgumentError("there is no process to wait for");
  }
  absl::StatusOr<size_t> first =
      ChildEnd::AwaitAnySettled(ends, DeadlineAfter(timeout));
  if (first.ok()) return first;
  const absl::Duration elapsed = std::min(timeout, MonotonicNow() - start);
  return absl::Status(
      first.status().code(),
      absl::StrCat(
          "none of these has ended after ", internal::FormatElapsed(elapsed),
          absl::IsCancelled(first.status()) ? ", when the wait was canceled: "
                                            : ": ",
          absl::StrJoin(names, ", "),
          more > 0 ? absl::StrCat(" and ", more, " more") : ""));
}

absl::StatusOr<size_t> WaitAny(
    absl::Span<const std::unique_ptr<Process>> processes,
    absl::Duration timeout) {
  std::vector<Process*> pointers;
  for (const auto& process : processes) pointers.push_back(process.get());
  return WaitAny(pointers, timeout);
}

absl::Status Process::Signal(int signal) {
  core_->child->NoteSignal(signal, TerminationScope::kChild);
  return Cannot(absl::StrCat("send ", SignalDescription(signal), " to"),
                core_->child->reaper().Signal(signal));
}

absl::Status Process::Signal(int signal, TerminationScope scope) {
  if (signal < 0 || signal > SIGRTMAX) {
    return Cannot(absl::StrCat("send ", SignalDescription(signal), " to"),
                  absl::InvalidArgumentError("there is no such signal"));
  }
  internal::TerminationTargets targets(*core_->child, scope);
  core_->child->NoteSignal(signal, scope);
  return targets.Send(signal);
}

absl::Status Process::Interrupt(TerminationScope scope) {
  // On a terminal, the signal goes to the foreground group: the child's own
  // group, unless the child is a shell that runs a command. When the child
  // ends, the terminal loses its foreground group.
  if (pty() != nullptr) {
    if (!IsAlive()) {
      return Cannot("interrupt", absl::NotFoundError("it has ended"));
    }
    scope = TerminationScope::kGroup;
  }
  internal::TerminationTargets targets(*core_->child, scope);
  absl::Status status;
  if (pty() != nullptr) {
    status = pty()->SendInterrupt();
  } else {
    core_->child->NoteSignal(SIGINT, scope);
    status = targets.Send(SIGINT);
  }
  targets.Continue();
  return status;
}

bool Process::IsAlive() {
  return !core_->child->reaper().TryReap().has_value();
}

ProcessState Process::state() {
  switch (core_->child->end().state()) {
    case ChildEnd::State::kDrained:
      return ProcessState::kDrained;
    case ChildEnd::State::kAbandoned:
      return ProcessState::kAbandoned;
    case ChildEnd::State::kExited:
      return ProcessState::kDraining;
    case ChildEnd::State::kRunning:
      break;
  }
  if (!IsAlive()) return ProcessState::kDraining;
  return core_->child->reaper().IsStopped() ? ProcessState::kStopped
                                            : ProcessState::kRunning;
}

std::string Process::DebugString() const {
  return absl::StrCat(command().DebugString(), " (pid ", pid(), ")");
}

absl::StatusOr<std::string> Process::DrawLetters(size_t count) {
  std::string bytes((count + 1) / 2, '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = getrandom(&bytes[done], bytes.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return Cannot("draw letters for",
                    absl::ErrnoToStatus(errno, "getrandom"));
    }
    done += static_cast<size_t>(got);
  }
  std::string letters;
  for (const char byte : bytes) {
    const auto number = static_cast<unsigned char>(byte);
    letters.push_back(static_cast<char>('a' + number % 16));
    letters.push_back(static_cast<char>('a' + number / 16));
  }
  letters.resize(count);
  core_->child->NoteLetters(letters);
  return letters;
}

absl::Status Process::NoteSent(absl::string_view bytes) {
  core_->child->NoteChannel(/*sent=*/true, bytes);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Process::NoteReceived(absl::string_view bytes,
                                                  absl::Duration /*timeout*/) {
  core_->child->NoteChannel(/*sent=*/false, bytes);
  return std::string(bytes);
}

absl::Status Process::Observe(std::shared_ptr<ChildObserver> observer) {
  if (absl::Status status = observer->OnStart(command()); !status.ok()) {
    return Cannot("record", status);
  }
  if (core_->child->Observe(observer)) return absl::OkStatus();
  observer->OnStartFailed();
  return Cannot("record",
                absl::FailedPreconditionError("it is being recorded already"));
}

absl::StatusOr<ExitStatus> Process::Terminate(absl::Duration grace) {
  absl::StatusOr<Termination> termination =
      Terminate(Escalation::Standard(grace));
  if (!termination.ok()) return termination.status();
  return termination->status;
}

absl::StatusOr<Termination> Process::Terminate(const Escalation& escalation) {
  if (absl::Status status = escalation.Validate(); !status.ok()) {
    return Cannot("end", status);
  }
  internal::EscalationRun run(*core_->child, escalation);
  while (!run.HaveEnded()) {
    absl::Status interrupted = internal::CheckWaitScopes();
    if (!interrupted.ok()) {
      return GaveUp(interrupted.code(), run.elapsed(), "is still to be ended");
    }
    if (run.Advance()) break;
    run.targets().AwaitEnded(run.deadline());
  }
  Termination termination = run.Outcome();
  if (!run.HaveEnded() && IsAlive()) {
    return GaveUp(absl::StatusCode::kDeadlineExceeded, termination.elapsed,
                  absl::StrCat("could not be ended by ", Steps(escalation)));
  }
  absl::StatusOr<ExitStatus> status = Wait();
  if (!status.ok()) return status.status();
  termination.status = *std::move(status);
  absl::Status searched = run.targets().search_status();
  if (!searched.ok()) {
    return absl::Status(searched.code(),
                        absl::StrCat(DebugString(), " has ended: ",
                                     termination.status.ToString(), ", but ",
                                     searched.message()));
  }
  return termination;
}

absl::Status Process::GaveUp(absl::StatusCode code, absl::Duration elapsed,
                             absl::string_view state) {
  std::string message = absl::StrCat(DebugString(), " ", state, " after ",
                                     internal::FormatElapsed(elapsed));
  if (code == absl::StatusCode::kCancelled) {
    absl::StrAppend(&message, ", when the wait was canceled");
  } else if (elapsed >= internal::kWorthDiagnosing) {
    absl::StrAppend(&message, ": ",
                    internal::DiagnoseChild(*core_->child).explanation);
  }
  absl::StrAppend(&message, out().LastLines("stdout"),
                  err().LastLines("stderr"));
  return absl::Status(code, message);
}

}  // namespace asyncproc
