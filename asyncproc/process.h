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

// Bytes of both streams.
struct Output {
  std::string out;
  std::string err;
};

// A child process, with methods to write to it, to read from it, to wait for it
// and to end it.
//
// Reader threads drain the child's output as fast as it arrives, whether or not
// the caller reads it. Written bytes are queued and fed to the child as fast as
// it reads. So neither side ever waits for the other, regardless of the amount
// of data, and the classic deadlock of two full pipes cannot happen.
//
//   asyncproc::Command command({"bc", "-q"});
//   auto process = asyncproc::Process::Spawn(command);
//   if (!process.ok()) return process.status();
//   auto written = (*process)->Write("6 * 7\n");
//   if (!written.ok()) return written;
//   auto answer = (*process)->out().ReadLine(absl::Seconds(5));  // "42"
//   auto end = (*process)->Terminate();  // "exited with status 0"
//
// Thread safety: all methods may be called from any thread at any time; only
// the destructor must not overlap another call.
// Ownership: the Process owns the child, the pipes and the threads: a reader
// for stdout, one for stderr from its first byte on, and a writer for stdin
// from the first Write on. Where no thread can be started for stderr, that of
// stdout reads both. Where neither output is a pipe, one thread watches for the
// end of the child. Callers never read a pipe. The destructor applies
// Command::on_destroy (by default it kills and reaps a child that still runs),
// and leaves no thread, descriptor or zombie behind. A child that
// cannot be killed, since it has changed to another user, or cannot be reaped,
// since its debugger has not released it after a second, is detached as by
// OnDestroy::Detach.
// A child that was started elsewhere, by fork() or by another library, cannot
// become a Process: its status belongs to the code that started it, and a pid
// alone may by now be that of another process. Call waitpid, or pidfd_open and
// poll.
// Stack: a thread that calls a method needs 64 KiB of stack. The threads of the
// library have the host's default size (pthread_setattr_default_np).
// pthread_cancel: a thread must not be canceled while it is in a call of this
// library, which may hold a lock: disable cancellation by
// pthread_setcancelstate, and end waits by a CancellationScope.
// Exceptions: no method throws. A tap or a ChildObserver must not throw: most
// of their calls come from a thread of the library, where an exception ends the
// program.
// Fork: in a copy of the host made by fork(), the destructor closes the
// descriptors and does nothing else: it sends no signal, reaps no child and
// joins no thread, since those belong to the original. A forked copy may only
// destroy a Process; a call of any other method may block forever. It may start
// children of its own.
// Blocking: only Wait, WaitFor, Flush, WriteAndFlush and Terminate block. They
// also end, with kDeadlineExceeded or kCancelled, when a WithTimeout or a
// CancellationScope of the calling thread ends the wait. The destructor blocks
// for the moment that a killed child takes to end, regardless of such scopes.
// Errors: absl::Status. The failure of a child is not an error: its ExitStatus
// reports it.
class Process final : public Child {
 public:
  // Starts `command`. On return, either the child runs the program, or nothing
  // remains of the attempt. Errors: kInvalidArgument for an invalid command
  // (see Command::Validate); kNotFound when the program or the directory does
  // not exist; kPermissionDenied; kResourceExhausted when no descriptor,
  // process, thread or memory is available; otherwise the code of
  // absl::ErrnoToStatus: kUnknown for a file that is no program (ENOEXEC),
  // kFailedPrecondition for a directory that is a file. The message names the
  // requested program, the places searched and the failed step; GetSpawnFailure
  // returns them as data.
  static absl::StatusOr<std::unique_ptr<Process>> Spawn(Command command);

  ~Process() override;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Stays the same after the end, when the system may have given the number to
  // another process: do not use it for signals.
  pid_t pid() const;
  const Command& command() const;

  // Queues `data` for the child's stdin; returns at once, and takes all or
  // nothing. The first call starts the writer thread.
  // Errors: kFailedPrecondition when stdin is not a pipe or has been closed, by
  // CloseStdin or by the child; the message then gives the number of
  // undelivered bytes. kResourceExhausted when Command::input_limit would be
  // exceeded, or the first call cannot start the writer thread.
  // kInvalidArgument for a line that is too long for a terminal: see Terminal.
  absl::Status Write(absl::string_view data) override;

  // Waits until the child's stdin pipe has taken all written bytes. That does
  // not mean that the child has read them. Errors: kDeadlineExceeded; as Write.
  absl::Status Flush(absl::Duration timeout) override;

  // As Write and then Flush, without a copy of `data` where no earlier bytes
  // are queued: for much input, at the pace of the child. Where the wait ends
  // before the pipe has taken all bytes, the rest is copied and stays queued.
  // Errors: as Write and Flush; kResourceExhausted also where there is no
  // memory for the rest, which is then lost.
  absl::Status WriteAndFlush(absl::string_view data, absl::Duration timeout);

  // Sends end-of-file to the child, after all written bytes. A second call does
  // nothing. On a terminal, end-of-file is typed (^D), and the terminal stays
  // open. Errors: kFailedPrecondition when stdin is not a pipe, or the child
  // closed it before all bytes were delivered; kResourceExhausted when there is
  // no memory to queue the typed characters: the call then has no effect.
  absl::Status CloseStdin() override;

  // Returns the bytes that have arrived since the last call, possibly none.
  std::string Read() { return out().Read(); }
  std::string ReadErr() { return err().Read(); }
  Output ReadBoth() { return {Read(), ReadErr()}; }

  // For everything else: lines, delimiters, several readers, taps.
  OutputStream& out() override;
  OutputStream& err() override;

  // The child's terminal; null when Command::pty was not set.
  Terminal* pty();

  // Waits until the child has ended and its output has settled, and returns its
  // exit status. May be called repeatedly, and from any number of threads. On
  // return, every byte that the child wrote can be read. A process that the
  // child left behind and that holds the output open delays the return by
  // Command::drain_grace; ExitStatus::output_complete is then false, and
  // OutputStream::holders lists such processes.
  //
  // A child that waits for the end of its input waits for CloseStdin.
  //
  // `flags`: 0, or WNOHANG: do not block; kUnavailable while the child runs.
  // Errors: kDataLoss when other code has taken the status: the host ignores
  // SIGCHLD, or waits for any child. kInvalidArgument for other flags.
  absl::StatusOr<ExitStatus> Wait(int flags = 0) override;
  // Errors: also kDeadlineExceeded, with the command and, after 10 ms or more,
  // a diagnosis of the child's state (see Diagnose); the child runs on.
  absl::StatusOr<ExitStatus> WaitFor(absl::Duration timeout) override;

  // Calls `callback` once, when Wait would return, with the result of Wait;
  // soon after this call if the child has ended already. Any number of
  // callbacks may be pending.
  //
  // The callback runs on a thread of its own, which this call starts under the
  // name asyncproc-onend, with no lock held. It may block and may call
  // anything, including the methods and the destructor of this Process; it must
  // not throw. To notify an event loop of the host, use the loop's function for
  // other threads: uv_async_send, asio::post, g_idle_add,
  // Reactor::CallFromThread.
  //
  // The destructor waits for a running callback; after it, there is no call. A
  // callback that waits for a child which the destructor ends, or detaches, is
  // never called. Capture the Process itself, not the unique_ptr that owns it:
  // reset() empties the unique_ptr before the destructor waits.
  // Errors: kResourceExhausted without a thread; kInvalidArgument for null;
  // kFailedPrecondition from a callback for which the destructor waits.
  absl::Status OnEnd(
      std::function<void(const absl::StatusOr<ExitStatus>&)> callback);

  // Sends a signal to the child alone. A stopped child takes the signal when it
  // is continued; Terminate and Interrupt send SIGCONT as well. As for kill(2),
  // 0 is no signal: it only asks whether the child has not ended.
  // Errors: kNotFound once the child has ended: a signal never reaches another
  // process that has been given its pid. kInvalidArgument; kPermissionDenied.
  absl::Status Signal(int signal) override;

  // Sends a signal to all live processes of the child's group or tree; for
  // kGroup, also after the child itself has ended. Errors: kInvalidArgument for
  // an invalid signal number; kNotFound when there is no process to signal;
  // kResourceExhausted when the signal was sent, but the search for the
  // processes of the scope failed (no descriptor was free, or /proc is not
  // mounted or is that of another PID namespace): some processes may not have
  // received it. Parents receive the signal before their children.
  absl::Status Signal(int signal, TerminationScope scope) override;

  // Stops the current operation of an interactive program, not the program
  // itself: Ctrl-C on its terminal; without a terminal, SIGINT. Stopped
  // processes are continued, so that they take the signal. Errors: as Signal
  // and Terminal::SendInterrupt; on a terminal, kNotFound once the child has
  // ended.
  absl::Status Interrupt(TerminationScope scope) override;

  // Ends the child, gently first: closes its stdin (skipped when stdin is not a
  // pipe or is closed already), then sends SIGTERM and SIGCONT, then SIGKILL,
  // with up to `grace` between two steps. Returns the result of Wait as soon as
  // the child has ended. For a child that has ended already, does only that.
  // Bytes still queued for stdin are dropped. A grace of zero sends SIGKILL at
  // once.
  // A WithTimeout or CancellationScope ends the call between two steps: it then
  // takes no further step, rather than a premature one.
  // Errors: as Wait; kInvalidArgument for a negative grace; kDeadlineExceeded
  // when the child is still there 10 s after SIGKILL.
  absl::StatusOr<ExitStatus> Terminate(
      absl::Duration grace = absl::Seconds(1)) override;

  // The same by other steps, or for the child's whole group or tree.
  // Errors: kDeadlineExceeded when the child is still there after the last
  // step. Other remaining processes of the scope are not an error: see
  // Termination::survivors. kResourceExhausted when the child has ended, but
  // the search for the other processes failed, as for Signal: a group received
  // each signal as a whole while the child lived, and Wait has the status.
  absl::StatusOr<Termination> Terminate(const Escalation& escalation);
  // The same by the steps of Terminate(grace).
  absl::StatusOr<Termination> Terminate(absl::Duration grace,
                                        TerminationScope scope) {
    return Terminate(Escalation::Standard(grace, scope));
  }

  // Replaces Command::on_destroy; command() keeps the original value. Errors:
  // kInvalidArgument for an invalid escalation, and for Detach where
  // Command::die_with_parent is set.
  absl::Status set_on_destroy(OnDestroy on_destroy);

  // Whether the child has not ended, as far as is known right now.
  bool IsAlive() override;
  ProcessState state() override;

  std::string DebugString() const override;
  std::vector<Process*> processes() override { return {this}; }
  absl::StatusOr<std::string> DrawLetters(size_t count) override;
  absl::Status NoteSent(absl::string_view bytes) override;
  absl::StatusOr<std::string> NoteReceived(absl::string_view bytes,
                                           absl::Duration timeout) override;

  // Reports all further events to `observer`, and at once the output that is
  // still buffered; see also Command::observer. Errors: kFailedPrecondition
  // when the child has an observer already; the error with which `observer`
  // refuses the child.
  absl::Status Observe(std::shared_ptr<ChildObserver> observer);

 private:
  friend Diagnosis Diagnose(Process& process);
  friend class Pipeline;
  friend absl::StatusOr<size_t> WaitAny(absl::Span<Process* const> processes,
                                        absl::Duration timeout);

  // The two halves of Spawn. Between them the child runs, but no thread reads
  // its output or reaps it: so its process group can be joined even if it ends
  // at once. A Process must not be destroyed between them.
  static absl::StatusOr<std::unique_ptr<Process>> Start(Command command);
  void Go();
  bool IsForkedCopy() const;

  struct Core;
  explicit Process(std::unique_ptr<Core> core);

  // `why`, after what this cannot do; OK when `why` is.
  absl::Status Cannot(absl::string_view what, const absl::Status& why) const;
  absl::Status NoStdin() const;
  absl::StatusOr<ExitStatus> Result() const;
  absl::Status GaveUp(absl::StatusCode code, absl::Duration elapsed,
                      absl::string_view state);
  void Detach();
  void TerminateAll(Escalation escalation);

  std::unique_ptr<Core> core_;
};

// Waits until Wait of one of `processes` would return, and returns the index of
// that process, or the lowest index of several. Wait then returns its status.
// Null pointers are skipped, so that the indices of the others stay the same
// after one process is done:
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
// shorten. A timeout of zero checks without waiting. Errors: kDeadlineExceeded
// and kCancelled, with the names of running children; kInvalidArgument when
// `processes` has no process.
absl::StatusOr<size_t> WaitAny(absl::Span<Process* const> processes,
                               absl::Duration timeout);
absl::StatusOr<size_t> WaitAny(
    absl::Span<const std::unique_ptr<Process>> processes,
    absl::Duration timeout);

}  // namespace asyncproc

#endif  // ASYNCPROC_PROCESS_H_
