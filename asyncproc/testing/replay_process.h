#ifndef ASYNCPROC_TESTING_REPLAY_PROCESS_H_
#define ASYNCPROC_TESTING_REPLAY_PROCESS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
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

// A child without a process: plays back the output of a recorded child (see
// Transcript), if the caller makes the recorded requests. So code that drives a
// child can be tested where the child is not available, takes too long, or
// costs money; and the test fails when the code begins to send other requests.
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
// The requests to the child are its input, its end-of-file, signals and
// letters. They must be the recorded requests, in the recorded order; input is
// compared by its bytes, regardless of their division into calls of Write. At
// the first difference the replay is over: that call and all later calls get
// kAborted, with the expected and the actual request, and so do reads of the
// child's output.
//
// Output that was recorded between two requests arrives after the first of
// them. Output of stdout and stderr that was recorded at nearly the same time
// arrives at the same time.
//
// With Pace::kRealTime, a signal may be repeated before the next request, as a
// Repl repeats an interrupt until its answer comes. The output recorded before
// that request then arrives at once, and the requests since that signal are
// expected again.
//
// Thread safety, blocking: as Child.
class ReplayProcess final : public Child {
 public:
  enum class Pace {
    kAtOnce,    // The next output has arrived when the request returns.
    kRealTime,  // The recorded pauses are kept. A request that comes earlier
                // than recorded does not wait: the output recorded before it
                // then arrives at once. Costs a thread.
  };

  // Errors: kResourceExhausted without a thread.
  static absl::StatusOr<std::unique_ptr<ReplayProcess>> Start(
      Transcript transcript, Pace pace = Pace::kAtOnce);

  ~ReplayProcess() override;
  ReplayProcess(const ReplayProcess&) = delete;
  ReplayProcess& operator=(const ReplayProcess&) = delete;

  // Errors: as Process, where the recorded child had closed its stdin or ended;
  // kAborted.
  absl::Status Write(absl::string_view data) override ABSL_LOCKS_EXCLUDED(*mu_);
  absl::Status Flush(absl::Duration timeout) override ABSL_LOCKS_EXCLUDED(*mu_);
  absl::Status CloseStdin() override ABSL_LOCKS_EXCLUDED(*mu_);

  OutputStream& out() override { return out_; }
  OutputStream& err() override { return err_; }

  // Returns how the recorded child ended, after all requests recorded before
  // its end have been made. Errors: as Process; kDataLoss when the recording
  // does not have the status.
  absl::StatusOr<ExitStatus> Wait(int flags = 0) override;
  absl::StatusOr<ExitStatus> WaitFor(absl::Duration timeout) override
      ABSL_LOCKS_EXCLUDED(*mu_);

  // Signal 0 is not a signal, and not recorded.
  absl::Status Signal(int signal) override;
  absl::Status Signal(int signal, TerminationScope scope) override
      ABSL_LOCKS_EXCLUDED(*mu_);
  absl::Status Interrupt(TerminationScope scope) override
      ABSL_LOCKS_EXCLUDED(*mu_);

  // Takes the recorded steps, without waiting for a grace period to pass.
  // Errors: kAborted when the recording has more input before the end.
  absl::StatusOr<ExitStatus> Terminate(absl::Duration grace = absl::Seconds(1))
      override ABSL_LOCKS_EXCLUDED(*mu_);

  bool IsAlive() override ABSL_LOCKS_EXCLUDED(*mu_);
  ProcessState state() override ABSL_LOCKS_EXCLUDED(*mu_);
  std::string DebugString() const override;
  absl::StatusOr<std::string> DrawLetters(size_t count) override
      ABSL_LOCKS_EXCLUDED(*mu_);
  absl::Status NoteSent(absl::string_view bytes) override
      ABSL_LOCKS_EXCLUDED(*mu_);
  absl::StatusOr<std::string> NoteReceived(absl::string_view bytes,
                                           absl::Duration timeout) override
      ABSL_LOCKS_EXCLUDED(*mu_);

  // Whether all recorded requests have been made. Errors: kFailedPrecondition,
  // with the next request; kAborted.
  absl::Status CheckComplete() const ABSL_LOCKS_EXCLUDED(*mu_);

 private:
  ReplayProcess(Transcript transcript, Pace pace);

  // The next event; null at the end.
  const TranscriptEvent* Next() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  // Whether the next event waits for a request, or there is none.
  bool IsAsking() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  // Delivers the events before the next request; with `until`, only events
  // recorded by then.
  void Happen(absl::Duration until = absl::InfiniteDuration())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  void Deliver(const TranscriptEvent& event)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  // Advances past the next event, which has been requested.
  void Pass() ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  // With kRealTime, makes the last `interrupt` the next event again if it may
  // be repeated now. Returns whether that is so.
  bool StepBackTo(absl::FunctionRef<bool(const TranscriptEvent&)> interrupt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  // `why`, with the call and the replay before its message.
  absl::Status Cannot(absl::string_view call, const absl::Status& why) const;
  // Ends the replay; returns the reason.
  absl::Status Diverge(absl::string_view instead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  absl::Status WriteLocked(absl::string_view data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  absl::Status SignalLocked(int signal, TerminationScope scope)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  // The next event of the recording, for messages.
  std::string Awaited() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(*mu_);
  // The thread of kRealTime.
  void Run() ABSL_LOCKS_EXCLUDED(*mu_);

  const Transcript transcript_;
  const Pace pace_;
  const std::shared_ptr<internal::OutputBuffer> out_buffer_;
  const std::shared_ptr<internal::OutputBuffer> err_buffer_;
  OutputStream out_;
  OutputStream err_;

  std::unique_ptr<absl::Mutex> mu_;         // Never null before the destructor.
  size_t next_ ABSL_GUARDED_BY(*mu_) = 0;   // Index of the next event.
  size_t taken_ ABSL_GUARDED_BY(*mu_) = 0;  // Its bytes taken, if it is kIn.
  // Output before this index has been delivered.
  size_t delivered_ ABSL_GUARDED_BY(*mu_) = 0;
  std::string received_ ABSL_GUARDED_BY(*mu_);  // By a private channel.
  // The time of the last request, and its time in the recording.
  absl::Time asked_ ABSL_GUARDED_BY(*mu_);
  absl::Duration asked_then_ ABSL_GUARDED_BY(*mu_);
  bool in_closed_ ABSL_GUARDED_BY(*mu_) = false;
  bool in_broken_ ABSL_GUARDED_BY(*mu_) = false;
  std::optional<absl::StatusOr<ExitStatus>> exit_ ABSL_GUARDED_BY(*mu_);
  absl::Status diverged_ ABSL_GUARDED_BY(*mu_);
  bool stop_ ABSL_GUARDED_BY(*mu_) = false;

  std::unique_ptr<internal::Thread> thread_;  // Null: no thread.
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTING_REPLAY_PROCESS_H_
