#include "asyncproc/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/internal/end/diagnose_child.h"
#include "asyncproc/internal/end/escalation_run.h"
#include "asyncproc/internal/end/termination_targets.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/spawn/launch.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

using internal::ChildIo;
using internal::DeadlineAfter;
using internal::MonotonicNow;
using internal::OutputBuffer;

namespace {

// For the SIGKILL that ends the escalation of a destructor.
constexpr absl::Duration kLastGrace = absl::Seconds(1);

// In messages.
constexpr absl::Duration kMillisecond = absl::Milliseconds(1);
constexpr absl::Duration kWorthRounding = absl::Milliseconds(10);

// Who waits for less just looks, maybe again and again.
constexpr absl::Duration kWorthDiagnosing = absl::Milliseconds(10);

bool IsGivenUp(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Spawn(Command command) {
  absl::StatusOr<std::unique_ptr<Process>> process = Start(std::move(command));
  // Not before the streams are there: what has no reader is not kept.
  if (process.ok()) (*process)->Drive();
  return process;
}

absl::StatusOr<std::unique_ptr<Process>> Process::Start(Command command) {
  if (absl::Status status = internal::CheckCommand(command); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<internal::Pump>> pump =
      internal::Pump::Create();
  if (!pump.ok()) return internal::CannotStart(command, pump.status());
  auto out = std::make_shared<OutputBuffer>(command.output_buffer);
  auto err = std::make_shared<OutputBuffer>(command.output_buffer);
  out->SetDriver((*pump)->driver());
  err->SetDriver((*pump)->driver());
  absl::StatusOr<std::shared_ptr<ChildIo>> child =
      ChildIo::Start(command, (*pump)->driver(), {out, err});
  if (!child.ok()) return child.status();
  return absl::WrapUnique(new Process(std::move(command), *std::move(pump),
                                      *std::move(child), std::move(out),
                                      std::move(err)));
}

Process::Process(Command command, std::unique_ptr<internal::Pump> pump,
                 std::shared_ptr<ChildIo> child,
                 std::shared_ptr<OutputBuffer> out,
                 std::shared_ptr<OutputBuffer> err)
    : command_(std::move(command)),
      child_(std::move(child)),
      pump_(std::move(pump)),
      out_(std::move(out), child_->pipe_inode(ChildIo::kOut)),
      err_(std::move(err), child_->pipe_inode(ChildIo::kErr)) {
  if (child_->terminal() >= 0) {
    terminal_.emplace(child_->terminal(), child_->input());
  }
}

Process::~Process() {
  if (child_->result().has_value()) {
    pump_ = nullptr;
  } else {
    EndOrDetach();
  }
}

void Process::EndOrDetach() {
  // What was asked for is done in full, also when its thread's time is up.
  const internal::WaitShield shield;
  switch (command_.on_destroy.policy()) {
    case OnDestroy::Policy::kDetach:
      Detach();
      return;
    case OnDestroy::Policy::kTerminate:
      TerminateAll();
      break;
    case OnDestroy::Policy::kKill:
      break;
  }
  if (!child_->reaper().KillAndReap()) {
    Detach();
    return;
  }
  pump_ = nullptr;
  // What it wrote last is for the cursors and taps that outlive it.
  child_->Finish();
}

void Process::Detach() {
  if (child_->input() != nullptr) child_->input()->Close().IgnoreError();
  pump_->Detach();
}

void Process::TerminateAll() {
  Escalation escalation = command_.on_destroy.escalation();
  escalation.steps.push_back(EscalationStep::Signal(SIGKILL, kLastGrace));
  Terminate(escalation).IgnoreError();
}

pid_t Process::pid() const { return child_->reaper().pid(); }

absl::Status Process::NoStdin() const {
  return absl::FailedPreconditionError(
      absl::StrCat("stdin of ", command_.DebugString(),
                   " is not a pipe: it is ", command_.in.ToString()));
}

absl::Status Process::Write(absl::string_view data) {
  if (child_->input() == nullptr) return NoStdin();
  return child_->input()->Write(data);
}

absl::Status Process::Flush(absl::Duration timeout) {
  if (child_->input() == nullptr) return NoStdin();
  const absl::Time start = MonotonicNow();
  absl::Status status = child_->input()->Flush(DeadlineAfter(timeout));
  if (!IsGivenUp(status)) return status;
  return GaveUp(status.code(), std::min(timeout, MonotonicNow() - start),
                absl::StrCat("has not read its stdin, of which ",
                             child_->input()->pending(), " bytes wait,"));
}

absl::Status Process::CloseStdin() {
  if (child_->input() == nullptr) return NoStdin();
  return child_->input()->Close();
}

absl::StatusOr<ExitStatus> Process::Result() const {
  return child_->result().value_or(
      absl::UnavailableError("the process still runs"));
}

absl::StatusOr<ExitStatus> Process::Wait(int flags) {
  if ((flags & ~WNOHANG) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("Wait knows no flags but WNOHANG: ", flags));
  }
  if ((flags & WNOHANG) != 0) return Result();
  return WaitFor(absl::InfiniteDuration());
}

absl::StatusOr<ExitStatus> Process::WaitFor(absl::Duration timeout) {
  const absl::Time start = MonotonicNow();
  absl::Status status = child_->AwaitSettled(DeadlineAfter(timeout));
  if (status.ok()) return Result();
  return GaveUp(status.code(), std::min(timeout, MonotonicNow() - start),
                "still runs");
}

absl::Status Process::Signal(int signal) {
  child_->NoteSignal(signal, TerminationScope::kChild);
  return child_->reaper().Signal(signal);
}

absl::Status Process::Signal(int signal, TerminationScope scope) {
  if (signal < 0 || signal > SIGRTMAX) {
    return absl::InvalidArgumentError(absl::StrCat(signal, " is not a signal"));
  }
  internal::TerminationTargets targets(*child_, scope);
  child_->NoteSignal(signal, scope);
  if (!targets.Send(signal)) {
    return absl::NotFoundError(
        absl::StrCat("process ", pid(), " and all of its scope have ended"));
  }
  return absl::OkStatus();
}

absl::Status Process::Interrupt(TerminationScope scope) {
  return terminal_.has_value() ? terminal_->SendInterrupt()
                               : Signal(SIGINT, scope);
}

bool Process::IsAlive() { return !child_->reaper().TryReap().has_value(); }

ProcessState Process::state() {
  switch (child_->state()) {
    case ChildIo::State::kDrained:
      return ProcessState::kDrained;
    case ChildIo::State::kAbandoned:
      return ProcessState::kAbandoned;
    case ChildIo::State::kDraining:
      return ProcessState::kDraining;
    case ChildIo::State::kRunning:
      break;
  }
  if (!IsAlive()) return ProcessState::kDraining;
  return child_->reaper().IsStopped() ? ProcessState::kStopped
                                      : ProcessState::kRunning;
}

std::string Process::DebugString() const {
  return absl::StrCat(command_.DebugString(), " (pid ", pid(), ")");
}

absl::StatusOr<std::string> Process::DrawLetters(size_t count) {
  std::string bytes((count + 1) / 2, '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = getrandom(&bytes[done], bytes.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, "no random bytes");
    done += static_cast<size_t>(got);
  }
  std::string letters;
  for (const char byte : bytes) {
    const auto number = static_cast<unsigned char>(byte);
    letters.push_back(static_cast<char>('a' + number % 16));
    letters.push_back(static_cast<char>('a' + number / 16));
  }
  letters.resize(count);
  child_->NoteLetters(letters);
  return letters;
}

absl::Status Process::Observe(
    std::shared_ptr<internal::ChildObserver> observer) {
  if (absl::Status status = observer->OnStart(command_); !status.ok()) {
    return status;
  }
  if (child_->Observe(observer)) return absl::OkStatus();
  observer->OnStartFailed();
  return absl::FailedPreconditionError(
      absl::StrCat(DebugString(), " is being recorded already"));
}

absl::StatusOr<ExitStatus> Process::Terminate(absl::Duration grace) {
  absl::StatusOr<Termination> termination =
      Terminate(Escalation::Standard(grace));
  if (!termination.ok()) return termination.status();
  return termination->status;
}

absl::StatusOr<Termination> Process::Terminate(const Escalation& escalation) {
  if (absl::Status status = escalation.Validate(); !status.ok()) return status;
  internal::EscalationRun run(*child_, escalation);
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
                  "could not be ended");
  }
  absl::StatusOr<ExitStatus> status = Wait();
  if (!status.ok()) return status.status();
  termination.status = *std::move(status);
  return termination;
}

absl::Status Process::GaveUp(absl::StatusCode code, absl::Duration elapsed,
                             absl::string_view what) {
  if (elapsed > kWorthRounding) elapsed = absl::Trunc(elapsed, kMillisecond);
  std::string message = absl::StrCat(DebugString(), " ", what, " after ",
                                     absl::FormatDuration(elapsed));
  if (code == absl::StatusCode::kCancelled) {
    absl::StrAppend(&message, ", when the wait was canceled");
  } else if (elapsed >= kWorthDiagnosing) {
    absl::StrAppend(&message, ": ",
                    internal::DiagnoseChild(*child_).explanation);
  }
  absl::StrAppend(&message, out_.LastLines("stdout"), err_.LastLines("stderr"));
  return absl::Status(code, message);
}

}  // namespace asyncproc
