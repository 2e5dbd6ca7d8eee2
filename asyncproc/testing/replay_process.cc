#include "asyncproc/testing/replay_process.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc {
namespace {

using internal::DeadlineAfter;
using internal::MonotonicNow;
using internal::OutputBuffer;
using Kind = TranscriptEvent::Kind;

// Outputs on two streams that were recorded within this time may have been
// written in any order: the pipes are read one after the other.
constexpr absl::Duration kSameTime = absl::Milliseconds(50);

// The most bytes of the command in a message.
constexpr size_t kShown = 60;

// Whether the event is a request to the child; other events come from the
// child.
bool IsAsked(const TranscriptEvent& event) {
  return event.kind == Kind::kIn || event.kind == Kind::kInClosed ||
         event.kind == Kind::kSignal || event.kind == Kind::kLetters ||
         event.kind == Kind::kSent;
}

// Whether `data` is the character of Control and a key.
bool IsControl(absl::string_view data) {
  return data.size() == 1 && static_cast<unsigned char>(data[0]) < ' ' &&
         data[0] != '\n' && data[0] != '\r' && data[0] != '\t';
}

std::string Describe(Kind kind, absl::string_view data) {
  TranscriptEvent event;
  event.kind = kind;
  event.data = std::string(data);
  return event.ToString();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReplayProcess>> ReplayProcess::Start(
    Transcript transcript, Pace pace) {
  auto replay =
      absl::WrapUnique(new ReplayProcess(std::move(transcript), pace));
  if (pace == Pace::kRealTime) {
    absl::StatusOr<internal::Thread> thread = internal::Thread::Start(
        "asyncproc-play", [replay = replay.get()] { replay->Run(); });
    if (!thread.ok()) return thread.status();
    replay->thread_ = std::make_unique<internal::Thread>(*std::move(thread));
  } else {
    internal::MutexLock lock(*replay->mu_);
    replay->Happen();
  }
  return replay;
}

ReplayProcess::ReplayProcess(Transcript transcript, Pace pace)
    : transcript_(std::move(transcript)),
      pace_(pace),
      out_buffer_(std::make_shared<OutputBuffer>(OutputBound::Unbounded(),
                                                 "stdout of a replay")),
      err_buffer_(std::make_shared<OutputBuffer>(OutputBound::Unbounded(),
                                                 "stderr of a replay")),
      out_(out_buffer_, 0),
      err_(err_buffer_, 0),
      mu_(std::make_unique<absl::Mutex>()),
      asked_(MonotonicNow()) {}

ReplayProcess::~ReplayProcess() {
  if (out_buffer_->IsForkedCopy()) {
    // Their mutexes may be locked forever.
    mu_.release();
    new std::shared_ptr<OutputBuffer>(out_buffer_);
    new std::shared_ptr<OutputBuffer>(err_buffer_);
    return;
  }
  {
    internal::MutexLock lock(*mu_);
    stop_ = true;
  }
  thread_ = nullptr;
  // For cursors and taps that outlive this object.
  out_buffer_->Finish();
  err_buffer_->Finish();
}

const TranscriptEvent* ReplayProcess::Next() const {
  return next_ < transcript_.events.size() ? &transcript_.events[next_]
                                           : nullptr;
}

bool ReplayProcess::IsAsking() const {
  return Next() == nullptr || IsAsked(*Next()) || !diverged_.ok();
}

void ReplayProcess::Happen(absl::Duration until) {
  size_t end = next_;
  while (end < transcript_.events.size() && !IsAsked(transcript_.events[end]) &&
         transcript_.events[end].time <= until) {
    ++end;
  }
  // stderr first: a reader of the last stdout bytes may check stderr at once.
  for (const bool err : {true, false}) {
    for (size_t i = std::max(next_, delivered_); i < end; ++i) {
      const TranscriptEvent& event = transcript_.events[i];
      if ((event.kind == Kind::kErr) == err) Deliver(event);
    }
  }
  next_ = end;
  delivered_ = std::max(delivered_, end);
  if (Next() == nullptr) End();
}

void ReplayProcess::Deliver(const TranscriptEvent& event) {
  switch (event.kind) {
    case Kind::kOut:
      out_buffer_->Append(event.data);
      break;
    case Kind::kErr:
      err_buffer_->Append(event.data);
      break;
    case Kind::kOutClosed:
      out_buffer_->Finish();
      break;
    case Kind::kErrClosed:
      err_buffer_->Finish();
      break;
    case Kind::kReceived:
      received_ += event.data;
      break;
    case Kind::kInBroken:
      in_broken_ = true;
      break;
    case Kind::kExit:
      if (event.status.has_value()) {
        exit_ = *event.status;
      } else {
        exit_ = absl::DataLossError(internal::Printable(event.data));
      }
      break;
    default:
      break;
  }
}

void ReplayProcess::End() {
  out_buffer_->Finish();
  err_buffer_->Finish();
  if (!exit_.has_value()) {
    exit_ = absl::DataLossError(absl::StrCat(
        "the end of ", internal::Printable(transcript_.header.command),
        " was not recorded"));
  }
}

void ReplayProcess::Pass() {
  asked_ = MonotonicNow();
  asked_then_ = Next()->time;
  ++next_;
  taken_ = 0;
  // With kRealTime, the thread also delivers the end.
  if (pace_ == Pace::kAtOnce) Happen();
}

bool ReplayProcess::StepBackTo(
    absl::FunctionRef<bool(const TranscriptEvent&)> interrupt) {
  if (pace_ == Pace::kAtOnce || taken_ > 0) return false;
  // A Repl sends a statement, with letters, after its signals.
  bool statement = false, letters = false;
  for (size_t i = next_; i-- > 0;) {
    const TranscriptEvent& event = transcript_.events[i];
    if (!IsAsked(event)) continue;
    if (interrupt(event) && statement == letters) {
      next_ = i;
      return true;
    }
    if (event.kind == Kind::kLetters && statement && !letters) {
      letters = true;
    } else if ((event.kind == Kind::kIn || event.kind == Kind::kSent) &&
               !statement) {
      statement = true;
    } else if (event.kind != Kind::kSignal || statement != letters) {
      return false;
    }
  }
  return false;
}

std::string ReplayProcess::Awaited() const {
  const TranscriptEvent* const next = Next();
  if (next == nullptr) return "the end of the recording";
  if (next->kind != Kind::kIn) return next->ToString();
  return Describe(Kind::kIn, absl::string_view(next->data).substr(taken_));
}

absl::Status ReplayProcess::Diverge(absl::string_view instead) {
  diverged_ = absl::AbortedError(absl::StrCat(
      "the ", DebugString(), " has left the recording at event ", next_ + 1,
      Next() == nullptr
          ? ""
          : absl::StrCat(" (", absl::FormatDuration(Next()->time), ")"),
      ": expected ", Awaited(), ", got ", instead));
  out_buffer_->Finish(diverged_);
  err_buffer_->Finish(diverged_);
  return diverged_;
}

absl::Status ReplayProcess::Cannot(absl::string_view call,
                                   const absl::Status& why) const {
  return internal::Prefixed(
      absl::StrCat("cannot ", call, " the ", DebugString()), why);
}

absl::Status ReplayProcess::Write(absl::string_view data) {
  internal::MutexLock lock(*mu_);
  return WriteLocked(data);
}

absl::Status ReplayProcess::WriteLocked(absl::string_view data) {
  if (!diverged_.ok() || data.empty()) return diverged_;
  if (in_closed_) {
    return Cannot("write to",
                  absl::FailedPreconditionError("stdin has been closed"));
  }
  while (!data.empty()) {
    Happen();
    const TranscriptEvent* const next = Next();
    if (in_broken_ || (exit_.has_value() && next == nullptr)) {
      return Cannot("write to", absl::FailedPreconditionError(
                                    "the child has closed its stdin"));
    }
    if (next == nullptr || next->kind != Kind::kIn) {
      return Diverge(Describe(Kind::kIn, data));
    }
    const absl::string_view expected =
        absl::string_view(next->data).substr(taken_);
    const size_t common = std::min(expected.size(), data.size());
    if (expected.substr(0, common) != data.substr(0, common)) {
      return Diverge(Describe(Kind::kIn, data));
    }
    taken_ += common;
    data.remove_prefix(common);
    if (taken_ == next->data.size()) Pass();
  }
  return absl::OkStatus();
}

absl::Status ReplayProcess::Flush(absl::Duration /*timeout*/) {
  internal::MutexLock lock(*mu_);
  return diverged_;
}

absl::Status ReplayProcess::CloseStdin() {
  internal::MutexLock lock(*mu_);
  if (!diverged_.ok() || in_closed_) return diverged_;
  Happen();
  const TranscriptEvent* const next = Next();
  if (next != nullptr && next->kind == Kind::kInClosed) {
    in_closed_ = true;
    Pass();
    return absl::OkStatus();
  }
  if (in_broken_ || exit_.has_value()) {
    in_closed_ = true;
    return absl::OkStatus();
  }
  return Diverge(Describe(Kind::kInClosed, ""));
}

absl::StatusOr<ExitStatus> ReplayProcess::Wait(int flags) {
  if ((flags & ~WNOHANG) != 0) {
    return Cannot("wait for",
                  absl::InvalidArgumentError(absl::StrCat(
                      "the flags are ", flags, ", not 0 or WNOHANG")));
  }
  if ((flags & WNOHANG) == 0) return WaitFor(absl::InfiniteDuration());
  internal::MutexLock lock(*mu_);
  if (!diverged_.ok()) return diverged_;
  return exit_.value_or(absl::UnavailableError(
      absl::StrCat("the ", DebugString(), " still runs")));
}

absl::StatusOr<ExitStatus> ReplayProcess::WaitFor(absl::Duration timeout) {
  internal::MutexLock lock(*mu_);
  const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_) {
    return exit_.has_value() || !diverged_.ok();
  };
  const absl::Status waited =
      internal::Await(*mu_, absl::Condition(&done), DeadlineAfter(timeout));
  if (!diverged_.ok()) return diverged_;
  if (waited.ok()) return *exit_;
  return absl::Status(
      waited.code(),
      absl::StrCat("the ", DebugString(), " still runs after ",
                   absl::FormatDuration(timeout), "; the next event is ",
                   Awaited(), out_.LastLines("stdout"),
                   err_.LastLines("stderr")));
}

absl::Status ReplayProcess::Signal(int signal) {
  return Signal(signal, TerminationScope::kChild);
}

absl::Status ReplayProcess::Signal(int signal, TerminationScope scope) {
  internal::MutexLock lock(*mu_);
  return SignalLocked(signal, scope);
}

absl::Status ReplayProcess::SignalLocked(int signal, TerminationScope scope) {
  if (signal < 0 || signal > SIGRTMAX) {
    return Cannot(absl::StrCat("send ", SignalDescription(signal), " to"),
                  absl::InvalidArgumentError("there is no such signal"));
  }
  if (!diverged_.ok()) return diverged_;
  if (signal != 0) Happen();
  const auto is_same = [&](const TranscriptEvent& event) {
    return event.kind == Kind::kSignal && event.signal == signal &&
           event.scope == scope;
  };
  const TranscriptEvent* const next = Next();
  if (signal != 0 && next != nullptr && is_same(*next)) {
    Pass();
    return absl::OkStatus();
  }
  if (exit_.has_value()) {
    return Cannot(absl::StrCat("send ", SignalDescription(signal), " to"),
                  absl::NotFoundError("it has ended"));
  }
  if (signal == 0) return absl::OkStatus();
  if (StepBackTo(is_same)) {
    Pass();
    return absl::OkStatus();
  }
  TranscriptEvent sent;
  sent.kind = Kind::kSignal;
  sent.signal = signal;
  sent.scope = scope;
  return Diverge(sent.ToString());
}

absl::Status ReplayProcess::Interrupt(TerminationScope scope) {
  internal::MutexLock lock(*mu_);
  if (!diverged_.ok()) return diverged_;
  if (!transcript_.header.terminal.has_value()) {
    return SignalLocked(SIGINT, scope);
  }
  Happen();
  // Any control character matches: the terminal may have had another for it.
  const auto is_typed = [](const TranscriptEvent& event) {
    return event.kind == Kind::kIn && IsControl(event.data);
  };
  if (Next() != nullptr && (is_typed(*Next()) || StepBackTo(is_typed))) {
    return WriteLocked(Next()->data);
  }
  return WriteLocked("\x03");
}

absl::StatusOr<ExitStatus> ReplayProcess::Terminate(absl::Duration grace) {
  if (grace < absl::ZeroDuration()) {
    return Cannot("end", absl::InvalidArgumentError(absl::StrCat(
                             "the grace of ", absl::FormatDuration(grace),
                             " is negative")));
  }
  internal::MutexLock lock(*mu_);
  const auto asking = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_) {
    return exit_.has_value() || IsAsking();
  };
  Happen();
  while (diverged_.ok() && !exit_.has_value()) {
    // The thread, if there is one, may not have come to the end yet.
    if (Next() == nullptr) {
      End();
      break;
    }
    if (Next()->kind != Kind::kInClosed && Next()->kind != Kind::kSignal) {
      return Diverge("its termination");
    }
    in_closed_ = true;
    Pass();
    absl::Status status =
        internal::Await(*mu_, absl::Condition(&asking), absl::InfiniteFuture());
    if (!status.ok()) return status;
  }
  if (!diverged_.ok()) return diverged_;
  return *exit_;
}

bool ReplayProcess::IsAlive() {
  internal::MutexLock lock(*mu_);
  return !exit_.has_value();
}

ProcessState ReplayProcess::state() {
  internal::MutexLock lock(*mu_);
  if (!exit_.has_value()) return ProcessState::kRunning;
  return out_buffer_->IsFinished() && err_buffer_->IsFinished()
             ? ProcessState::kDrained
             : ProcessState::kAbandoned;
}

std::string ReplayProcess::DebugString() const {
  return absl::StrCat("replay of ",
                      internal::Printable(transcript_.header.command, kShown));
}

absl::StatusOr<std::string> ReplayProcess::DrawLetters(size_t count) {
  internal::MutexLock lock(*mu_);
  if (!diverged_.ok()) return diverged_;
  Happen();
  const TranscriptEvent* const next = Next();
  if (next == nullptr || next->kind != Kind::kLetters ||
      next->data.size() != count) {
    return Diverge(absl::StrCat("a wish for ", count, " letters"));
  }
  std::string letters = next->data;
  Pass();
  return letters;
}

absl::Status ReplayProcess::NoteSent(absl::string_view bytes) {
  internal::MutexLock lock(*mu_);
  if (!diverged_.ok()) return diverged_;
  Happen();
  const TranscriptEvent* const next = Next();
  if (next == nullptr || next->kind != Kind::kSent || next->data != bytes) {
    return Diverge(Describe(Kind::kSent, bytes));
  }
  Pass();
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReplayProcess::NoteReceived(
    absl::string_view /*bytes*/, absl::Duration timeout) {
  internal::MutexLock lock(*mu_);
  const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_) {
    return !received_.empty() || exit_.has_value() || !diverged_.ok();
  };
  const absl::Status waited =
      internal::Await(*mu_, absl::Condition(&done), DeadlineAfter(timeout));
  if (!diverged_.ok()) return diverged_;
  if (!waited.ok()) return waited;
  return std::exchange(received_, "");
}

absl::Status ReplayProcess::CheckComplete() const {
  internal::MutexLock lock(*mu_);
  if (!diverged_.ok()) return diverged_;
  for (size_t i = next_; i < transcript_.events.size(); ++i) {
    const TranscriptEvent& event = transcript_.events[i];
    if (!IsAsked(event)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the ", DebugString(), " is not complete: event ", i + 1,
                     " is still to come (", absl::FormatDuration(event.time),
                     "): ", i == next_ ? Awaited() : event.ToString()));
  }
  return absl::OkStatus();
}

void ReplayProcess::Run() {
  internal::MutexLock lock(*mu_);
  while (!stop_) {
    absl::Time due = absl::InfiniteFuture();
    if (!IsAsking()) due = asked_ + (Next()->time - asked_then_);
    if (Next() == nullptr) End();
    if (MonotonicNow() >= due) {
      Happen(Next()->time + kSameTime);
      continue;
    }
    const size_t next = next_;
    const auto changed = [this, next]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_) {
      return stop_ || next_ != next;
    };
    internal::Await(*mu_, absl::Condition(&changed), due).IgnoreError();
  }
}

}  // namespace asyncproc
