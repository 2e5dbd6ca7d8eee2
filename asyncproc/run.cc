#include "asyncproc/run.h"

#include <signal.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "asyncproc/internal/io/byte_queue.h"
#include "asyncproc/internal/io/child_process.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/internal/io/stdin_writer.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/terminate/escalation_run.h"
#include "asyncproc/internal/terminate/termination_targets.h"
#include "asyncproc/internal/text/elapsed.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

using internal::ByteQueue;
using internal::ChildProcess;
using internal::DeadlineAfter;
using internal::MonotonicNow;
using internal::OutputBuffer;

namespace {

constexpr char kPayloadUrl[] = "asyncproc/run_failure";

// The most input queued ahead of the pipe, so that large input is not copied as
// a whole.
constexpr size_t kInputAhead = 256 * 1024;

// The interval at which an escalation checks for the end of descendants.
constexpr absl::Duration kSlice = absl::Milliseconds(10);

// Killed processes close the output soon, though not at once.
constexpr absl::Duration kTimeToSettle = absl::Milliseconds(50);

// Smaller output is copied, rather than kept in a larger block of memory.
constexpr size_t kWorthKeeping = 64 * 1024;

absl::Cord ToCord(ByteQueue memory) {
  const absl::string_view bytes = memory.view();
  if (bytes.size() < kWorthKeeping) return absl::Cord(bytes);
  return absl::MakeCordFromExternal(bytes, [memory = std::move(memory)] {});
}

// One stream of the child's output.
class Capture {
 public:
  // `kept_bound`: the bound of the kept bytes, where that is not the bound of
  // the arriving bytes.
  Capture(std::shared_ptr<OutputBuffer> arrived,
          std::optional<OutputBound> kept_bound, const OutputSink& sink)
      : arrived_(std::move(arrived)),
        cursor_(arrived_->AddCursor(/*at_oldest=*/true)),
        sink_(sink) {
    if (!kept_bound.has_value()) return;
    kept_ = std::make_unique<OutputBuffer>(*kept_bound);
    kept_cursor_ = kept_->AddCursor(/*at_oldest=*/true);
  }

  // Passes the bytes that have arrived to the sink, unless the sink has failed.
  absl::Status Deliver() {
    if (kept_ == nullptr) return absl::OkStatus();
    const std::string piece = arrived_->Read(cursor_);
    if (piece.empty()) return absl::OkStatus();
    kept_->Append(piece);
    if (sink_ == nullptr || !sink_status_.ok()) return absl::OkStatus();
    return sink_status_ = sink_(piece);
  }

  uint64_t arrived() const { return arrived_->stats().bytes; }
  std::string LastLines(absl::string_view name) const {
    return arrived_->LastLines(name);
  }

  CapturedOutput Take(uint64_t* dropped) {
    OutputBuffer& buffer = kept_ == nullptr ? *arrived_ : *kept_;
    ByteQueue memory =
        buffer.TakeMemory(kept_ == nullptr ? cursor_ : kept_cursor_);
    *dropped += buffer.stats().dropped;
    return CapturedOutput(ToCord(std::move(memory)));
  }

 private:
  const std::shared_ptr<OutputBuffer> arrived_;
  const OutputBuffer::CursorRef cursor_;
  const OutputSink& sink_;
  absl::Status sink_status_;
  std::unique_ptr<OutputBuffer> kept_;  // Null: all of arrived_ is kept.
  OutputBuffer::CursorRef kept_cursor_ = nullptr;
};

// One child from start to end, driven by the calling thread.
class ChildRun {
 public:
  ChildRun(const Command& command, const RunOptions& options, absl::Time start,
           std::optional<OutputBound> kept_bound,
           std::shared_ptr<ChildProcess> child)
      : command_(command),
        options_(options),
        start_(start),
        child_(std::move(child)),
        out_(child_->output(ChildProcess::kOut).buffer(), kept_bound,
             options.on_out),
        err_(child_->output(ChildProcess::kErr).buffer(), kept_bound,
             options.on_err),
        input_(options.input.has_value() ? absl::string_view(*options.input)
                                         : absl::string_view()) {}

  // A sink may have thrown: the child must not outlive the call.
  ~ChildRun() {
    if (child_->end().IsSettled() || left_behind_) return;
    const internal::WaitShield shield;
    unwinding_ = true;
    KillNow();
    Finish(absl::InfinitePast());
  }

  absl::StatusOr<RunResult> Run() {
    const absl::Status end = Drive();
    if (!end.ok()) End();
    RunResult result;
    result.pid = child_->reaper().pid();
    result.elapsed = MonotonicNow() - start_;
    const absl::StatusOr<ExitStatus> status = child_->end().result().value_or(
        absl::PermissionDeniedError("it still runs"));
    if (status.ok()) result.status = *status;
    result.usage = result.status.usage();
    if (child_->input() != nullptr) {
      result.unread_input = child_->input()->undelivered() +
                            child_->input()->pending() + input_.size();
    }
    const std::string last =
        absl::StrCat(out_.LastLines("stdout"), err_.LastLines("stderr"));
    result.out = out_.Take(&result.truncated);
    result.err = err_.Take(&result.truncated);
    if (!end.ok()) {
      return Failed(end, status, last, std::move(result));
    }
    if (!status.ok()) {
      reason_ = RunFailureReason::kStatusLost;
      return Failed(status.status(), status, last, std::move(result));
    }
    if (options_.check && !status->ok()) {
      reason_ = RunFailureReason::kExit;
      return Failed(absl::AbortedError("failed"), status, last,
                    std::move(result));
    }
    return result;
  }

 private:
  // Runs until the output has settled, or there is a reason to end the child.
  absl::Status Drive() {
    while (!child_->end().IsSettled()) {
      if (absl::Status status = Feed(); !status.ok()) return status;
      child_->Step(internal::NextLook(NextLimit()));
      // Directly after a step: a sink may take so long that the child has ended
      // or written meanwhile.
      if (absl::Status status = CheckLimits(); !status.ok()) return status;
      if (absl::Status status = Deliver(); !status.ok()) {
        reason_ = RunFailureReason::kSink;
        return status;
      }
      if (HasNewOutput()) {
        arrived_ = Arrived();
        last_output_ = MonotonicNow();
      }
    }
    return absl::OkStatus();
  }

  uint64_t Arrived() const { return out_.arrived() + err_.arrived(); }
  bool HasNewOutput() const { return Arrived() != arrived_; }

  absl::Status Feed() {
    internal::StdinWriter* const input = child_->input();
    if (input == nullptr || input_closed_) return absl::OkStatus();
    while (!input_.empty() && input->pending() < kInputAhead) {
      const absl::string_view piece = input_.substr(0, kInputAhead);
      if (absl::Status status = input->Write(piece); !status.ok()) {
        input_closed_ = true;
        // It is not an error that the child has closed its stdin.
        if (absl::IsFailedPrecondition(status)) return absl::OkStatus();
        reason_ = RunFailureReason::kInput;
        return status;
      }
      input_.remove_prefix(piece.size());
    }
    if (!input_.empty()) return absl::OkStatus();
    input_closed_ = true;
    input->Close().IgnoreError();
    return absl::OkStatus();
  }

  absl::Status Deliver() {
    if (unwinding_) return absl::OkStatus();
    for (Capture* capture : {&out_, &err_}) {
      if (absl::Status status = capture->Deliver(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  bool HasEnded() const { return child_->end().HasExited(); }

  // The time of the next limit. There is none after the end of the child: time
  // for the output to settle does not count.
  absl::Time NextLimit() const {
    if (HasEnded()) return absl::InfiniteFuture();
    return std::min(start_ + options_.timeout,
                    last_output_ + options_.idle_timeout);
  }

  absl::Status CheckLimits() {
    if (child_->end().IsSettled()) return absl::OkStatus();
    if (absl::Status status = internal::CheckWaitScopes(); !status.ok()) {
      reason_ = RunFailureReason::kInterrupted;
      return status;
    }
    if (HasEnded()) return absl::OkStatus();
    const absl::Time now = MonotonicNow();
    const bool idle = now < start_ + options_.timeout;
    if (now < NextLimit() || (idle && HasNewOutput())) return absl::OkStatus();
    reason_ =
        idle ? RunFailureReason::kIdleTimeout : RunFailureReason::kTimeout;
    limit_ = idle ? options_.idle_timeout : options_.timeout;
    return absl::DeadlineExceededError(
        absl::StrCat(idle ? "wrote nothing for its idle timeout of "
                          : "did not end within its timeout of ",
                     absl::FormatDuration(limit_)));
  }

  // Ends the child by the escalation, and then by SIGKILL. After an
  // interruption by a scope of this thread, there is no time for an escalation,
  // nor for the output of other processes.
  void End() {
    const internal::WaitShield shield;
    absl::Time patience = absl::InfiniteFuture();
    if (reason_ != RunFailureReason::kInterrupted) {
      Escalate();
    } else if (HasEnded()) {
      patience = absl::InfinitePast();
    } else {
      patience = DeadlineAfter(kTimeToSettle);
      KillNow();
    }
    Finish(patience);
  }

  void KillNow() {
    child_->NoteSignal(SIGKILL, options_.escalation.scope);
    internal::TerminationTargets targets(*child_, options_.escalation.scope);
    targets.Signal(SIGKILL);
    NoteUnsearched(targets);
  }

  // Waits until the output has settled; after `patience`, only until the child
  // has been reaped.
  void Finish(absl::Time patience) {
    if (!child_->KillAndReap()) {
      LeaveBehind();
      return;
    }
    child_->CheckExit(/*group_wanted=*/false);
    while (!child_->end().IsSettled()) {
      if (MonotonicNow() >= patience) {
        for (const auto stream : {ChildProcess::kOut, ChildProcess::kErr}) {
          child_->output(stream).Abandon();
        }
      } else {
        StepOnce(patience);
      }
    }
    // The bytes that CheckExit has read.
    Deliver().IgnoreError();
  }

  // For a child that cannot be killed or reaped now: a separate thread reaps it
  // later.
  void LeaveBehind() {
    left_behind_ = true;
    child_->Detach();
    const auto drive = [child = child_] {
      while (!child->end().IsSettled()) child->Step(absl::InfiniteFuture());
    };
    absl::StatusOr<internal::Thread> thread =
        internal::Thread::Start("asyncproc-left", drive);
    if (thread.ok()) {
      thread->Detach();
    } else {
      drive();
    }
  }

  void Escalate() {
    internal::EscalationRun run(*child_, options_.escalation);
    while (!run.Advance()) {
      const bool look_often =
          HasEnded() || options_.escalation.scope != TerminationScope::kChild;
      StepOnce(look_often ? std::min(run.deadline(), MonotonicNow() + kSlice)
                          : run.deadline());
    }
    for (const Survivor& survivor : run.Outcome().survivors) {
      absl::StrAppend(&left_, "; ", survivor.command, " (pid ", survivor.pid,
                      ") lives on");
    }
    NoteUnsearched(run.targets());
  }

  void NoteUnsearched(internal::TerminationTargets& targets) {
    if (absl::Status status = targets.search_status(); !status.ok()) {
      absl::StrAppend(&left_, "; ", status.message());
    }
  }

  void StepOnce(absl::Time deadline) {
    child_->Step(deadline);
    // Run returns the first failure, even if a sink fails now.
    Deliver().IgnoreError();
  }

  absl::Status Failed(const absl::Status& why,
                      const absl::StatusOr<ExitStatus>& status,
                      absl::string_view last, RunResult result);

  const Command& command_;
  const RunOptions& options_;
  const absl::Time start_;
  const std::shared_ptr<ChildProcess> child_;
  Capture out_;
  Capture err_;
  absl::string_view input_;  // The input that is not queued yet.
  bool input_closed_ = false;
  uint64_t arrived_ = 0;  // The bytes of output that the sinks have seen.
  absl::Time last_output_ = start_;  // When the sinks had seen them.
  RunFailureReason reason_ = RunFailureReason::kExit;
  absl::Duration limit_;
  bool left_behind_ = false;
  bool unwinding_ = false;  // A sink has thrown: no sink is called any more.
  std::string left_;  // For the message: processes of the scope that may live.
};

// Numbers in a line of text, then the command and both streams.
absl::Cord Encode(const RunFailure& failure) {
  const RunResult& result = failure.result;
  const ExitStatus& status = result.status;
  absl::Cord payload(absl::StrCat(
      static_cast<int>(failure.reason), " ",
      absl::ToInt64Nanoseconds(failure.limit), " ",
      absl::ToInt64Nanoseconds(result.elapsed), " ",
      status.exited() ? status.exit_code() : 0, " ",
      status.signaled() ? status.term_signal() : 0, " ",
      int{status.core_dumped()}, " ", int{status.output_complete()}, " ",
      absl::ToInt64Nanoseconds(result.usage.user_time), " "));
  payload.Append(
      absl::StrCat(absl::ToInt64Nanoseconds(result.usage.system_time), " ",
                   absl::ToInt64Nanoseconds(result.usage.wall_time), " ",
                   result.usage.max_rss_bytes, " ", result.truncated, " ",
                   result.unread_input, " ", failure.command.size(), " ",
                   result.out.size(), " ", result.pid, "\n", failure.command));
  payload.Append(result.out.cord());
  payload.Append(result.err.cord());
  return payload;
}

absl::Status ChildRun::Failed(const absl::Status& why,
                              const absl::StatusOr<ExitStatus>& status,
                              absl::string_view last, RunResult result) {
  std::string message = command_.DebugString();
  if (reason_ == RunFailureReason::kStatusLost) {
    message = std::string(why.message());  // Names the command.
  } else if (reason_ == RunFailureReason::kExit) {
    absl::StrAppend(&message, ": ", status->ToString());
  } else {
    absl::StrAppend(&message, limit_ > absl::ZeroDuration() ? " " : ": ",
                    why.message());
    if (status.ok()) {
      absl::StrAppend(&message, "; it has ended: ", status->ToString());
    } else if (absl::IsPermissionDenied(status.status())) {
      absl::StrAppend(&message, "; ", status.status().message());
    }
  }
  absl::StrAppend(&message, " after ", internal::FormatElapsed(result.elapsed),
                  left_, last);
  absl::Status failed(why.code(), message);
  why.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    failed.SetPayload(url, payload);
  });
  failed.SetPayload(kPayloadUrl, Encode({reason_, command_.DebugString(),
                                         limit_, std::move(result)}));
  return failed;
}

bool IsCaptured(const Command& command, const Stdio& stream) {
  return command.pty.has_value() || stream.HasHostEnd();
}

absl::Status Validate(const Command& command, const RunOptions& options) {
  const auto refuse = [&](const auto&... why) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot run ", command.DebugString(), ": ", why...));
  };
  if (options.input.has_value() && !IsCaptured(command, command.in)) {
    return refuse("there is input for a stdin that is not a pipe: it is ",
                  command.in.ToString());
  }
  if (options.on_out != nullptr && !IsCaptured(command, command.out)) {
    return refuse("there is a sink for a stdout that is not a pipe: it is ",
                  command.out.ToString());
  }
  if (options.on_err != nullptr &&
      (command.pty.has_value() || !IsCaptured(command, command.err))) {
    return refuse(
        "there is a sink for a stderr that is not a pipe: it is ",
        command.pty.has_value() ? "the terminal" : command.err.ToString());
  }
  if (command.output_buffer.policy() == OutputBound::Policy::kBlockChild) {
    return refuse(
        "output_buffer is BlockChild, but no reader could unblock the child");
  }
  if (options.idle_timeout <= absl::ZeroDuration()) {
    return refuse("idle_timeout is not positive: ",
                  absl::FormatDuration(options.idle_timeout));
  }
  absl::Status status = options.escalation.Validate();
  return status.ok() ? status : refuse(status.message());
}

}  // namespace

CapturedOutput::CapturedOutput(absl::Cord bytes) : bytes_(std::move(bytes)) {
  bytes_.Flatten();
}

Escalation RunOptions::StandardForTree() {
  Escalation escalation = Escalation::Standard();
  escalation.scope = TerminationScope::kTree;
  return escalation;
}

absl::StatusOr<RunResult> Run(Command command, const RunOptions& options) {
  const absl::Time start = MonotonicNow();
  if (absl::Status status = Validate(command, options); !status.ok()) {
    return status;
  }
  if (options.timeout <= absl::ZeroDuration()) {
    return absl::DeadlineExceededError(
        absl::StrCat(command.DebugString(), " was not started: its timeout is ",
                     absl::FormatDuration(options.timeout)));
  }
  if (absl::Status status = internal::CheckWaitScopes(); !status.ok()) {
    return internal::Prefixed(
        absl::StrCat(command.DebugString(), " was not started"), status);
  }
  command.input_limit = 0;
  // A bound limits the kept bytes, not the bytes passed to a sink.
  std::optional<OutputBound> kept_bound;
  if (options.on_out != nullptr || options.on_err != nullptr) {
    kept_bound = std::exchange(command.output_buffer, OutputBound::Unbounded());
  }
  ChildProcess::Options child_options;
  child_options.bound = command.output_buffer;
  absl::StatusOr<std::shared_ptr<ChildProcess>> child =
      ChildProcess::Start(command, std::move(child_options));
  if (!child.ok()) return child.status();
  return ChildRun(command, options, start, kept_bound, *std::move(child)).Run();
}

std::ostream& operator<<(std::ostream& out, RunFailureReason reason) {
  switch (reason) {
    case RunFailureReason::kTimeout:
      return out << "timeout";
    case RunFailureReason::kIdleTimeout:
      return out << "idle timeout";
    case RunFailureReason::kExit:
      return out << "exit";
    case RunFailureReason::kSink:
      return out << "sink";
    case RunFailureReason::kInterrupted:
      return out << "interrupted";
    case RunFailureReason::kInput:
      return out << "input";
    case RunFailureReason::kStatusLost:
      return out << "status lost";
  }
  return out << "unknown";
}

std::optional<RunFailure> GetRunFailure(const absl::Status& status) {
  const std::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return std::nullopt;
  // Sixteen numbers of twenty digits at most.
  const std::string head(payload->Subcord(0, 400));
  const size_t end = head.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::vector<int64_t> numbers;
  for (absl::string_view text :
       absl::StrSplit(absl::string_view(head).substr(0, end), ' ')) {
    if (!absl::SimpleAtoi(text, &numbers.emplace_back())) return std::nullopt;
  }
  if (numbers.size() != 16) return std::nullopt;
  RunFailure failure;
  failure.reason = static_cast<RunFailureReason>(numbers[0]);
  failure.limit = absl::Nanoseconds(numbers[1]);
  RunResult& result = failure.result;
  result.elapsed = absl::Nanoseconds(numbers[2]);
  result.status =
      numbers[4] != 0
          ? ExitStatus::Signaled(static_cast<int>(numbers[4]), numbers[5] != 0)
          : ExitStatus::Exited(static_cast<int>(numbers[3]));
  result.status.set_output_complete(numbers[6] != 0);
  result.usage.user_time = absl::Nanoseconds(numbers[7]);
  result.usage.system_time = absl::Nanoseconds(numbers[8]);
  result.usage.wall_time = absl::Nanoseconds(numbers[9]);
  result.usage.max_rss_bytes = numbers[10];
  result.status.set_usage(result.usage);
  result.truncated = static_cast<uint64_t>(numbers[11]);
  result.unread_input = static_cast<uint64_t>(numbers[12]);
  result.pid = static_cast<pid_t>(numbers[15]);
  size_t at = end + 1;
  const auto next = [&](size_t size) {
    return payload->Subcord(std::exchange(at, at + size), size);
  };
  failure.command = std::string(next(static_cast<size_t>(numbers[13])));
  result.out = CapturedOutput(next(static_cast<size_t>(numbers[14])));
  result.err = CapturedOutput(next(payload->size() - at));
  return failure;
}

absl::StatusOr<std::string> CheckOutput(Command command) {
  if (!IsCaptured(command, command.out)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot get the output of ", command.DebugString(),
                     ": stdout is not a pipe: it is ", command.out.ToString()));
  }
  RunOptions options;
  options.check = true;
  absl::StatusOr<RunResult> result = Run(std::move(command), options);
  if (!result.ok()) return result.status();
  return std::string(result->out);
}

absl::StatusOr<std::string> CombinedOutput(Command command) {
  command.err = Stdio::ToStdout();
  return CheckOutput(std::move(command));
}

absl::Status Check(Command command) {
  RunOptions options;
  options.check = true;
  return Run(std::move(command), options).status();
}

}  // namespace asyncproc
