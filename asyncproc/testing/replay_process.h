#ifndef ASYNCPROC_TESTING_REPLAY_PROCESS_H_
#define ASYNCPROC_TESTING_REPLAY_PROCESS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/termination.h"
#include "asyncproc/transcript.h"

namespace asyncproc {

namespace internal {
class OutputBuffer;
class Thread;
}  // namespace internal

// A child without a process: says what the child of a Transcript said, if it is
// told what that one was told. So code that drives a child can be tested where
// the child is not to be had, takes too long, or costs money; and the test
// fails when the code begins to tell it something else.
//
//   auto transcript = asyncproc::Transcript::Load("tests/data/login.jsonl");
//   ASSERT_TRUE(transcript.ok()) << transcript.status();
//   auto router = asyncproc::ReplayProcess::Start(*transcript);
//   ASSERT_TRUE(router.ok()) << router.status();
//   EXPECT_TRUE(Login(**router).ok());  // It takes an asyncproc::Child&.
//   EXPECT_TRUE((*router)->CheckComplete().ok());
//
// or, for a Repl, Repl::Attach(dialect, *std::move(router)).
//
// What is asked of the child, its input, its end-of-file, signals and letters,
// has to be what was recorded, in that order; input by its bytes, however they
// are divided into calls of Write. When it is not, the replay is over: that
// call and all later ones get kAborted, with what was expected and what came
// instead, and so does who reads what the child says.
//
// What the child said between two of these is said when the first has come. Of
// stdout and stderr, what was recorded at nearly the same time is there at the
// same time.
//
// Thread safety, blocking: as Child.
class ReplayProcess final : public Child {
 public:
  enum class Pace {
    kAtOnce,    // All that is said next is there when the call returns.
    kRealTime,  // As long after what came before it as in the recording.
                // What is asked early does not wait: what should have been
                // said before is said at once then. Costs a thread.
  };

  // Errors: kResourceExhausted without a thread.
  static absl::StatusOr<std::unique_ptr<ReplayProcess>> Start(
      Transcript transcript, Pace pace = Pace::kAtOnce);

  ~ReplayProcess() override;
  ReplayProcess(const ReplayProcess&) = delete;
  ReplayProcess& operator=(const ReplayProcess&) = delete;

  // Errors: as Process, where the recorded child had closed its stdin or ended;
  // kAborted.
  absl::Status Write(absl::string_view data) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Flush(absl::Duration timeout) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CloseStdin() override ABSL_LOCKS_EXCLUDED(mu_);

  OutputStream& out() override { return out_; }
  OutputStream& err() override { return err_; }

  // How the recorded child ended, once what was asked of it before has been
  // asked. Errors: as Process; kDataLoss when the recording does not say.
  absl::StatusOr<ExitStatus> Wait(int flags = 0) override;
  absl::StatusOr<ExitStatus> WaitFor(absl::Duration timeout) override
      ABSL_LOCKS_EXCLUDED(mu_);

  // 0 is no signal, and not recorded.
  absl::Status Signal(int signal) override;
  absl::Status Signal(int signal, TerminationScope scope) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Interrupt(TerminationScope scope) override
      ABSL_LOCKS_EXCLUDED(mu_);

  // By as many steps as it took then: nobody waits for a grace to be over. That
  // there was input yet to come is an error: kAborted.
  absl::StatusOr<ExitStatus> Terminate(absl::Duration grace = absl::Seconds(1))
      override ABSL_LOCKS_EXCLUDED(mu_);

  bool IsAlive() override ABSL_LOCKS_EXCLUDED(mu_);
  ProcessState state() override ABSL_LOCKS_EXCLUDED(mu_);
  std::string DebugString() const override;
  absl::StatusOr<std::string> DrawLetters(size_t count) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status NoteSent(absl::string_view bytes) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::string> NoteReceived(absl::string_view bytes,
                                           absl::Duration timeout) override
      ABSL_LOCKS_EXCLUDED(mu_);

  // Whether all was asked that was recorded. Errors: kFailedPrecondition,
  // naming what is to come; kAborted.
  absl::Status CheckComplete() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  ReplayProcess(Transcript transcript, Pace pace);

  // The next event; null at the end.
  const TranscriptEvent* Next() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether nothing happens before something is asked.
  bool IsAsking() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Lets happen what comes before the next thing to be asked; with `until`,
  // only what was recorded by then.
  void Happen(absl::Duration until = absl::InfiniteDuration())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Deliver(const TranscriptEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The next event has been asked for.
  void Pass() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the replay; returns why.
  absl::Status Diverge(absl::string_view instead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status WriteLocked(absl::string_view data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status SignalLocked(int signal, TerminationScope scope)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the recording has next, for messages.
  std::string Awaited() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The thread of kRealTime.
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  const Transcript transcript_;
  const Pace pace_;
  const std::shared_ptr<internal::OutputBuffer> out_buffer_;
  const std::shared_ptr<internal::OutputBuffer> err_buffer_;
  OutputStream out_;
  OutputStream err_;

  mutable absl::Mutex mu_;
  size_t next_ ABSL_GUARDED_BY(mu_) = 0;       // Of the events.
  size_t taken_ ABSL_GUARDED_BY(mu_) = 0;      // Bytes of that, if it is kIn.
  std::string received_ ABSL_GUARDED_BY(mu_);  // By a private channel.
  // When what was asked last was asked, and when it was then.
  absl::Time asked_ ABSL_GUARDED_BY(mu_);
  absl::Duration asked_then_ ABSL_GUARDED_BY(mu_);
  bool in_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool in_broken_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::StatusOr<ExitStatus>> exit_ ABSL_GUARDED_BY(mu_);
  absl::Status diverged_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;

  std::unique_ptr<internal::Thread> thread_;  // Null: no thread.
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTING_REPLAY_PROCESS_H_
