#ifndef ASYNCPROC_PROCESS_H_
#define ASYNCPROC_PROCESS_H_

#include <sys/types.h>
#include <sys/wait.h>  // WNOHANG

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "asyncproc/child.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/terminal.h"
#include "asyncproc/termination.h"

namespace asyncproc {

struct Diagnosis;
class ChildObserver;

// What was there on both streams.
struct Output {
  std::string out;
  std::string err;
};

// A child process: write to it, read from it, wait for it, end it.
//
// Its output is read in the background as fast as it comes, whether or not
// anybody asks for it; what is written to it is queued and fed to it as fast as
// it reads. So neither side ever waits for the other, however much there is to
// say, and the classic deadlock of two full pipes cannot happen.
//
//   asyncproc::Command command({"bc", "-q"});
//   auto process = asyncproc::Process::Spawn(command);
//   if (!process.ok()) return process.status();
//   auto written = (*process)->Write("6 * 7\n");
//   if (!written.ok()) return written;
//   auto answer = (*process)->out().ReadLine(absl::Seconds(5));  // "42"
//   auto end = (*process)->Terminate();  // "exited with status 0"
//
// Thread safety: any thread may call anything at any time; only the destructor
// must not overlap another call.
// Ownership: the Process owns the child, the pipes and the threads: a reader
// for stdout and one for stderr, where they are pipes, and a writer for stdin
// from the first Write on. Where neither output is a pipe, one thread watches
// for the end of the child. Callers never read a pipe. The destructor does with
// a child that still runs what Command::on_destroy says (by default it kills
// and reaps the child), and leaves no thread, descriptor or zombie behind. A
// child that cannot be killed, since it has another user's identity by now, or
// cannot be reaped, since its debugger has yet to let go of it, is detached as
// OnDestroy::Detach does.
// What was started elsewhere, by fork() or by another library, cannot become a
// Process: its status belongs to the code that started it, and a pid alone may
// be another process's by now. Call waitpid, or pidfd_open and poll.
// Stack: a thread that calls a method needs 64 KiB of stack. The threads of the
// library have the host's default size (pthread_setattr_default_np).
// pthread_cancel: a thread must not be canceled while it is in a call of this
// library, which may hold a lock: disable it by pthread_setcancelstate, and end
// waits by a CancellationScope.
// Exceptions: no method throws. What a tap or a ChildObserver throws ends the
// program, since it is called on a thread of the library.
// Fork: in a copy of the host made by fork(), the destructor closes the
// descriptors and does nothing else: it sends no signal, reaps no child and
// joins no thread, since those belong to the original. A forked copy may only
// destroy a Process; a call of any other method may block for ever.
// Blocking: only Wait, WaitFor, Flush and Terminate block. They also end, with
// kDeadlineExceeded or kCancelled, when a WithTimeout or a CancellationScope of
// the calling thread says so. The destructor blocks for the moment that a
// killed child takes to end, whatever those say.
// Errors: absl::Status. That a child fails is none: its ExitStatus says so.
class Process final : public Child {
 public:
  // Starts `command`. When it returns, the child runs the program, or nothing
  // is left of the attempt. Errors: kInvalidArgument when the command makes no
  // sense (see Command::Validate); kNotFound when program or directory do not
  // exist; kPermissionDenied; kResourceExhausted when there is no descriptor,
  // process, thread or memory to be had. The message names what was asked for,
  // where it was searched for, and the step that failed; GetSpawnFailure has it
  // as data.
  static absl::StatusOr<std::unique_ptr<Process>> Spawn(Command command);

  ~Process() override;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Stays the same after the end, when the system may have given the number to
  // another process: do not signal by it.
  pid_t pid() const;
  const Command& command() const;

  // Queues `data` for the child's stdin; returns at once, and takes all or
  // nothing. The first call starts the writer thread.
  // Errors: kFailedPrecondition when stdin is not a pipe or has been closed, by
  // CloseStdin or by the child; then it says how many bytes did not get there.
  // kResourceExhausted when Command::input_limit would be exceeded, or the
  // first call cannot start the writer thread.
  // kInvalidArgument for a line that is too long for a terminal: see Terminal.
  absl::Status Write(absl::string_view data) override;

  // Waits until the child's stdin pipe has taken all that was written. That
  // does not mean that the child has read it. Errors: kDeadlineExceeded; as
  // Write.
  absl::Status Flush(absl::Duration timeout) override;

  // End-of-file for the child, behind what was written. Again: does nothing. On
  // a terminal, it is typed (^D); the terminal stays open. Errors:
  // kFailedPrecondition when stdin is not a pipe, or the child closed it before
  // it had got everything; kResourceExhausted when there is no memory to queue
  // what is typed: then nothing has been done.
  absl::Status CloseStdin() override;

  // What has arrived since the last call, maybe nothing.
  std::string Read() { return out().Read(); }
  std::string ReadErr() { return err().Read(); }
  Output ReadBoth() { return {Read(), ReadErr()}; }

  // Line by line, up to a delimiter, several readers, taps: all the rest.
  OutputStream& out() override;
  OutputStream& err() override;

  // The child's terminal; null when Command::pty was not set.
  Terminal* pty();

  // Waits until the child has ended and its output has settled, and returns how
  // it ended; again and again, from any number of threads. Then every byte that
  // it wrote can be read. A process that it left behind and that holds its
  // output open delays this by Command::drain_grace;
  // ExitStatus::output_complete is false then, and OutputStream::holders says
  // who it is.
  //
  // A child that waits for the end of its input waits for CloseStdin.
  //
  // `flags`: 0, or WNOHANG: do not block; kUnavailable while it runs.
  // Errors: kDataLoss when its status was taken by someone else: the host
  // ignores SIGCHLD, or waits for any child. kInvalidArgument for other flags.
  absl::StatusOr<ExitStatus> Wait(int flags = 0) override;
  // Errors: also kDeadlineExceeded, naming the command and, after 10 ms or
  // more, what it was found to be doing (see Diagnose); the child runs on.
  absl::StatusOr<ExitStatus> WaitFor(absl::Duration timeout) override;

  // Calls `callback` once, when Wait would return, with what Wait returns; soon
  // after this call if the child has ended already. Any number of callbacks may
  // be waiting.
  //
  // The callback runs on a thread that this call starts for it, named
  // asyncproc-onend, with no lock held. It may block and may call anything,
  // also the methods and the destructor of this Process; it must not throw. An
  // event loop of the host's is told by what that loop has for other threads:
  // uv_async_send, asio::post, g_idle_add, Reactor::CallFromThread.
  //
  // The destructor waits for a callback that is being called; after it, there
  // is no call. A callback that waits for a child which the destructor ends, or
  // detaches, is never called.
  // Errors: kResourceExhausted without a thread; kInvalidArgument for null.
  absl::Status OnEnd(
      std::function<void(const absl::StatusOr<ExitStatus>&)> callback);

  // Sends a signal to the child, and to it alone. A stopped child takes it when
  // it is continued; Terminate and Interrupt send SIGCONT as well.
  // Errors: kNotFound once it has ended: never does a signal reach another
  // process that has got its number. kInvalidArgument; kPermissionDenied.
  absl::Status Signal(int signal) override;

  // Sends a signal to all of its group or tree that live; also, for kGroup,
  // once the child itself has ended. Errors: kInvalidArgument for a number that
  // is no signal; kNotFound when there is none to send it to;
  // kResourceExhausted when it was sent, but the search for the processes of
  // the scope failed (no descriptor was free, or /proc is not mounted or
  // is that of another PID namespace): some may not have got it.
  absl::Status Signal(int signal, TerminationScope scope) override;

  // What stops an interactive program's present doing, and not the program:
  // Ctrl-C on its terminal; without one, SIGINT. What is stopped is continued,
  // so that it takes the signal. Errors: as Signal and
  // Terminal::SendInterrupt.
  absl::Status Interrupt(TerminationScope scope) override;

  // Ends the child, gently first: closes its stdin (skipped when that is not a
  // pipe or is closed already), then SIGTERM and SIGCONT, then SIGKILL, with up
  // to `grace` between two of them. Returns as soon as it has ended, and as
  // Wait. For a child that has ended it does nothing but that. What was still
  // to be written to stdin is dropped. With a grace of zero it goes straight to
  // SIGKILL.
  // A WithTimeout or CancellationScope ends it between two steps: it then takes
  // no further step, rather than a hasty one.
  // Errors: as Wait; kInvalidArgument for a negative grace; kDeadlineExceeded
  // when the child is still there 10 s after SIGKILL.
  absl::StatusOr<ExitStatus> Terminate(
      absl::Duration grace = absl::Seconds(1)) override;

  // The same by other steps, or for the child's whole group or tree.
  // Errors: kDeadlineExceeded when the child is still there after the last
  // step. That others of the scope are is no error: Termination::survivors has
  // them. kResourceExhausted when the child has ended, but the search for the
  // others failed, as for Signal: a group got each signal as a whole as
  // long as the child lived, and Wait has the status.
  absl::StatusOr<Termination> Terminate(const Escalation& escalation);
  // The same by the steps of Terminate(grace).
  absl::StatusOr<Termination> Terminate(absl::Duration grace,
                                        TerminationScope scope) {
    return Terminate(Escalation::Standard(grace, scope));
  }

  // Takes the place of Command::on_destroy; command() keeps the first one.
  // Errors: kInvalidArgument for an escalation that makes no sense, and for
  // Detach where Command::die_with_parent is set.
  absl::Status set_on_destroy(OnDestroy on_destroy);

  // Whether it has not ended, as far as is known right now.
  bool IsAlive() override;
  ProcessState state() override;

  std::string DebugString() const override;
  std::vector<Process*> processes() override { return {this}; }
  absl::StatusOr<std::string> DrawLetters(size_t count) override;
  absl::Status NoteSent(absl::string_view bytes) override;
  absl::StatusOr<std::string> NoteReceived(absl::string_view bytes,
                                           absl::Duration timeout) override;

  // Tells `observer` of everything from now on, and at once of the output that
  // is still buffered: see also Command::observer. Errors: kFailedPrecondition
  // when the child has an observer already; the error with which `observer`
  // refuses the child.
  absl::Status Observe(std::shared_ptr<ChildObserver> observer);

 private:
  friend Diagnosis Diagnose(Process& process);
  friend class Pipeline;
  friend absl::StatusOr<size_t> WaitAny(absl::Span<Process* const> processes,
                                        absl::Duration timeout);

  // The two halves of Spawn. Between them the child runs, but nobody reads what
  // it says, nor reaps it: so its process group can be joined even if it ends
  // at once. A Process must not be destroyed between them.
  static absl::StatusOr<std::unique_ptr<Process>> Start(Command command);
  void Go();
  bool IsForkedCopy() const;

  struct Core;
  explicit Process(std::unique_ptr<Core> core);

  absl::Status NoStdin() const;
  absl::StatusOr<ExitStatus> Result() const;
  absl::Status GaveUp(absl::StatusCode code, absl::Duration elapsed,
                      absl::string_view state);
  void Detach();
  void TerminateAll(Escalation escalation);

  std::unique_ptr<Core> core_;
};

// Waits until Wait of one of `processes` would return, and returns the index of
// that process, of several the lowest. Wait then has its status. Null pointers
// are left out, so that the indices of the others stay the same when one is
// done:
//
//   std::vector<std::unique_ptr<asyncproc::Process>> jobs = StartJobs();
//   for (size_t i = 0; i < jobs.size(); ++i) {
//     auto ended = asyncproc::WaitAny(jobs, absl::Minutes(10));
//     if (!ended.ok()) return ended.status();
//     Report(*ended, jobs[*ended]->Wait());
//     jobs[*ended] = nullptr;
//   }
//
// For hundreds of children, ProcessPoller needs no threads.
//
// Thread safety: from any thread; the processes must not be destroyed
// meanwhile. Blocking: up to `timeout`, which WithTimeout and CancellationScope
// shorten. A timeout of zero looks, and does not wait. Errors:
// kDeadlineExceeded, kCancelled, with the names of children that run;
// kInvalidArgument when there is no process at all.
absl::StatusOr<size_t> WaitAny(absl::Span<Process* const> processes,
                               absl::Duration timeout);
absl::StatusOr<size_t> WaitAny(
    absl::Span<const std::unique_ptr<Process>> processes,
    absl::Duration timeout);

}  // namespace asyncproc

#endif  // ASYNCPROC_PROCESS_H_
