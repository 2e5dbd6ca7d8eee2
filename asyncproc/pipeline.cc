#include "asyncproc/pipeline.h"

#include <signal.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/launch.h"
#include "asyncproc/internal/terminate/child_inspector.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc {

using internal::DeadlineAfter;
using internal::MonotonicNow;

namespace {

std::string Join(const std::vector<Command>& commands) {
  return absl::StrJoin(commands, " | ",
                       [](std::string* out, const Command& command) {
                         absl::StrAppend(out, command.DebugString());
                       });
}

// Returns `status` with the stage in its message.
absl::Status OfStage(const std::vector<Command>& commands, size_t i,
                     const absl::Status& status) {
  return internal::Prefixed(
      absl::StrCat("stage ", i + 1, " of ", Join(commands)), status);
}

absl::Status ValidateStage(const std::vector<Command>& commands, size_t i) {
  const Command& command = commands[i];
  const bool first = i == 0;
  const bool last = i + 1 == commands.size();
  std::string why;
  if (!first && command.in.kind() != Stdio::Kind::kPipe) {
    why = absl::StrCat("stdin comes from the previous stage, not from ",
                       command.in.ToString());
  } else if (!last && command.out.kind() != Stdio::Kind::kPipe) {
    why = absl::StrCat("stdout goes to the next stage, not to ",
                       command.out.ToString());
  } else if (command.pty.has_value()) {
    why = "a pipeline has no terminal";
  } else if (command.new_session || !command.process_group.inherits()) {
    why = "the stages of a pipeline share a process group";
  } else if (command.on_destroy.policy() != OnDestroy::Policy::kKill) {
    why = "the stages of a pipeline are killed when it is destroyed";
  } else {
    // Must come before any pipe is made: a pipe could get the number of a
    // descriptor that the command names but that is not open.
    return internal::CheckCommand(command);
  }
  return absl::InvalidArgumentError(why);
}

// Whether a stage was not started because its process group no longer exists.
bool CouldNotJoin(const absl::Status& status) {
  const std::optional<SpawnFailure> failure = GetSpawnFailure(status);
  return failure.has_value() && failure->stage == SpawnStage::kProcessGroup;
}

absl::Status Validate(const std::vector<Command>& commands) {
  if (commands.empty()) {
    return absl::InvalidArgumentError(
        "cannot start a pipeline: it has no command");
  }
  for (size_t i = 0; i < commands.size(); ++i) {
    if (absl::Status status = ValidateStage(commands, i); !status.ok()) {
      return OfStage(commands, i, status);
    }
  }
  return absl::OkStatus();
}

}  // namespace

Pipeline::Pipeline(std::vector<std::unique_ptr<Process>> stages,
                   const PipelineOptions& options)
    : options_(options), stages_(std::move(stages)) {}

absl::StatusOr<std::unique_ptr<Pipeline>> Pipeline::Spawn(
    std::vector<Command> commands, const PipelineOptions& options) {
  if (absl::Status status = Validate(commands); !status.ok()) return status;
  std::vector<std::unique_ptr<Process>> stages;
  // Also for stages that are destroyed because another could not be started.
  absl::Cleanup go = [&stages] {
    for (const std::unique_ptr<Process>& stage : stages) stage->Go();
  };
  // Closed as soon as the two stages have it: an end left open here would hide
  // the end of a stage from its neighbours.
  internal::UniqueFd upstream;
  // The leader is not reaped before Go: it is a zombie at worst until all
  // stages have joined it, so the number of the group stays reserved. In a host
  // that ignores SIGCHLD the kernel reaps the leader at once, and its group is
  // gone if it was alone there; then the next stage leads another.
  Process* leader = nullptr;
  for (size_t i = 0; i < commands.size(); ++i) {
    Command command = commands[i];
    command.process_group = leader == nullptr
                                ? ProcessGroup::New()
                                : ProcessGroup::Join(leader->pid());
    if (i > 0) command.in = Stdio::Fd(upstream.get());
    absl::StatusOr<internal::Pipe> pipe;
    if (i + 1 < commands.size()) {
      pipe = internal::MakePipe(command.pipe_size);
      if (!pipe.ok()) return OfStage(commands, i, pipe.status());
      command.out = Stdio::Fd(pipe->write_end.get());
    }
    absl::StatusOr<std::unique_ptr<Process>> stage = Process::Start(command);
    if (leader != nullptr && CouldNotJoin(stage.status())) {
      command.process_group = ProcessGroup::New();
      leader = nullptr;
      stage = Process::Start(command);
    }
    if (!stage.ok()) return OfStage(commands, i, stage.status());
    stages.push_back(*std::move(stage));
    if (leader == nullptr) leader = stages.back().get();
    upstream = pipe.ok() ? std::move(pipe->read_end) : internal::UniqueFd();
  }
  std::move(go).Invoke();
  return absl::WrapUnique(new Pipeline(std::move(stages), options));
}

Pipeline::~Pipeline() {
  if (stages_.front()->IsForkedCopy()) return;
  // Kills all at once; the destructors of the stages would do it one by one.
  Signal(SIGKILL).IgnoreError();
}

std::string Pipeline::ReadErr() {
  std::string text;
  for (const std::unique_ptr<Process>& stage : stages_) {
    text += stage->ReadErr();
  }
  return text;
}

bool Pipeline::Failed(size_t i, const ExitStatus& status) const {
  if (status.ok()) return false;
  return i + 1 == stages_.size() || options_.sigpipe_is_failure ||
         status != ExitStatus::Signaled(SIGPIPE);
}

absl::StatusOr<ExitStatus> Pipeline::Wait(int flags) {
  std::optional<ExitStatus> failure;
  absl::Status lost;
  absl::StatusOr<ExitStatus> status;
  for (size_t i = 0; i < stages_.size(); ++i) {
    status = stages_[i]->Wait(flags);
    if (absl::IsDataLoss(status.status())) {
      // The stage has ended all the same; the other stages must have ended too.
      lost.Update(status.status());
    } else if (!status.ok()) {
      return status;
    } else if (Failed(i, *status)) {
      failure = *status;
    }
  }
  if (!lost.ok()) return lost;
  if (failure.has_value()) return *failure;
  return status;
}

absl::StatusOr<ExitStatus> Pipeline::WaitFor(absl::Duration timeout) {
  const absl::Time deadline = DeadlineAfter(timeout);
  for (const std::unique_ptr<Process>& stage : stages_) {
    absl::StatusOr<ExitStatus> status =
        stage->WaitFor(deadline - MonotonicNow());
    if (absl::IsCancelled(status.status())) return status;
    if (status.ok() || !absl::IsDeadlineExceeded(status.status())) continue;
    // The deadline of this thread has passed, not the one of this call.
    if (MonotonicNow() < deadline) return status;
    std::string message = absl::StrCat(DebugString(), " still runs after ",
                                       absl::FormatDuration(timeout));
    for (const std::unique_ptr<Process>& late : stages_) {
      if (!late->IsAlive()) continue;
      absl::StrAppend(&message, "; ", late->DebugString());
      if (timeout >= internal::kWorthDiagnosing) {
        absl::StrAppend(&message, ": ", Diagnose(*late).explanation);
      }
      absl::StrAppend(&message, late->err().LastLines("stderr"));
    }
    absl::StrAppend(&message, out().LastLines("stdout"));
    return absl::DeadlineExceededError(message);
  }
  return Wait();
}

std::vector<std::optional<ExitStatus>> Pipeline::statuses() {
  std::vector<std::optional<ExitStatus>> statuses;
  for (const std::unique_ptr<Process>& stage : stages_) {
    absl::StatusOr<ExitStatus> status = stage->Wait(WNOHANG);
    statuses.emplace_back();
    if (status.ok()) statuses.back() = *status;
  }
  return statuses;
}

absl::Status Pipeline::Signal(int signal) {
  absl::Status result = absl::NotFoundError(
      absl::StrCat("cannot send ", SignalDescription(signal), " to ",
                   DebugString(), ": it has ended"));
  for (const std::unique_ptr<Process>& stage : stages_) {
    absl::Status status = stage->Signal(signal);
    // The end of one stage does not decide the result of the others.
    if (!absl::IsNotFound(status) &&
        (result.ok() || absl::IsNotFound(result))) {
      result = status;
    }
  }
  return result;
}

absl::Status Pipeline::ForEachGroup(
    const std::function<absl::Status(Process& stage)>& function) {
  absl::Status result = function(*stages_.front());
  std::set<pid_t> groups = {pid()};
  for (size_t i = 1; i < stages_.size(); ++i) {
    // A stage that has left the group by itself, or leads another.
    if (!stages_[i]->IsAlive()) continue;
    const pid_t group = getpgid(stages_[i]->pid());
    if (group < 0 || groups.count(group) > 0) continue;
    if (group == stages_[i]->pid()) groups.insert(group);
    const absl::Status status = function(*stages_[i]);
    if (!absl::IsNotFound(status) &&
        (result.ok() || absl::IsNotFound(result))) {
      result = status;
    }
  }
  return result;
}

absl::Status Pipeline::Signal(int signal, TerminationScope scope) {
  if (scope == TerminationScope::kChild) return Signal(signal);
  return ForEachGroup(
      [&](Process& stage) { return stage.Signal(signal, scope); });
}

absl::Status Pipeline::Interrupt(TerminationScope scope) {
  if (scope == TerminationScope::kChild) scope = TerminationScope::kGroup;
  return ForEachGroup([&](Process& stage) { return stage.Interrupt(scope); });
}

absl::StatusOr<ExitStatus> Pipeline::Terminate(absl::Duration grace) {
  absl::StatusOr<Termination> termination =
      Terminate(Escalation::Standard(grace));
  if (!termination.ok()) return termination.status();
  return termination->status;
}

absl::StatusOr<Termination> Pipeline::Terminate(const Escalation& escalation) {
  const absl::Time start = MonotonicNow();
  Escalation for_all = escalation;
  if (for_all.scope == TerminationScope::kChild) {
    for_all.scope = TerminationScope::kGroup;
  }
  if (absl::Status status = for_all.Validate(); !status.ok()) {
    return internal::Prefixed(absl::StrCat("cannot end ", DebugString()),
                              status);
  }
  absl::StatusOr<Termination> termination = stages_.front()->Terminate(for_all);
  for (size_t i = 1; i < stages_.size(); ++i) {
    // A stage that has left the group by itself, or leads another.
    if (!stages_[i]->IsAlive()) continue;
    absl::StatusOr<Termination> other = stages_[i]->Terminate(for_all);
    if (!termination.ok()) continue;
    if (!other.ok()) {
      termination = other.status();
      continue;
    }
    termination->ended_by_step = other->ended_by_step;
    termination->survivors.insert(termination->survivors.end(),
                                  other->survivors.begin(),
                                  other->survivors.end());
  }
  if (!termination.ok()) return termination;
  absl::StatusOr<ExitStatus> status = Wait();
  if (!status.ok()) return status.status();
  termination->status = *status;
  termination->elapsed = MonotonicNow() - start;
  return termination;
}

bool Pipeline::IsAlive() {
  for (const std::unique_ptr<Process>& stage : stages_) {
    if (stage->IsAlive()) return true;
  }
  return false;
}

ProcessState Pipeline::state() {
  // In the order in which a process passes through the states.
  ProcessState least = ProcessState::kAbandoned;
  bool all_drained = true, any_stopped = false;
  for (const std::unique_ptr<Process>& stage : stages_) {
    const ProcessState state = stage->state();
    if (state == ProcessState::kRunning) return state;
    any_stopped = any_stopped || state == ProcessState::kStopped;
    all_drained = all_drained && state == ProcessState::kDrained;
    if (state == ProcessState::kDraining) least = state;
  }
  if (any_stopped) return ProcessState::kStopped;
  return all_drained ? ProcessState::kDrained : least;
}

std::vector<Process*> Pipeline::processes() {
  std::vector<Process*> processes;
  for (const std::unique_ptr<Process>& stage : stages_) {
    processes.push_back(stage.get());
  }
  return processes;
}

std::string Pipeline::DebugString() const {
  return absl::StrJoin(
      stages_, " | ",
      [](std::string* out, const std::unique_ptr<Process>& stage) {
        absl::StrAppend(out, stage->command().DebugString());
      });
}

}  // namespace asyncproc
