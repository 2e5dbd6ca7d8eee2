#ifndef ASYNCPROC_PROCESS_PROTOCOL_H_
#define ASYNCPROC_PROCESS_PROTOCOL_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/termination.h"

namespace asyncproc {

namespace internal {
class PolledChild;
}  // namespace internal
class Reactor;

// The operations of a ProcessProtocol on its child. None of them blocks.
//
// Every method returns kFailedPrecondition before the child has been started,
// and, except for termination, kNotFound from ProcessEnded on; further errors
// are documented at each method.
//
// Thread safety: none: it belongs to the thread of the reactor. Other threads
// use Reactor::CallFromThread.
class ProcessTransport {
 public:
  // 0 before the child has been started. Stays the same after its end.
  pid_t pid() const { return pid_; }

  // Queues `data` for the child's stdin; takes all or nothing.
  // Errors: kFailedPrecondition when stdin is not a pipe or has been closed, by
  // this program or by the child; kResourceExhausted as Process::Write.
  absl::Status Write(absl::string_view data);
  // The same for each piece in turn, up to the first that is refused.
  absl::Status WriteSequence(absl::Span<const absl::string_view> pieces);

  // Sends end-of-file to the child, after all written data. A second call does
  // nothing. Errors: kFailedPrecondition when stdin is not a pipe.
  absl::Status CloseStdin();

  // Closes an output pipe: the child gets SIGPIPE, or EPIPE, on a further
  // write. Data that has been read is still delivered. The terminal of
  // Command::pty stays open, and its further output is read and dropped; a
  // write to the terminal of Stdio::LineBuffered fails with EIO.
  // Errors: kNotFound when the stream is not a pipe, or is closed.
  absl::Status CloseStdout() { return CloseChildFd(1); }
  absl::Status CloseStderr() { return CloseChildFd(2); }
  // The same for any output pipe, by the child's descriptor number: 1 for the
  // terminal of Command::pty.
  absl::Status CloseChildFd(int fd);

  // Closes all pipes: stdin after all written data, and every output, as
  // CloseStdin and CloseChildFd do. A terminal stays open: the child reads
  // end-of-file, and its further output is dropped.
  absl::Status LoseConnection();

  // Errors: kNotFound also when the child has just ended; as Process::Signal.
  absl::Status SignalProcess(int signal);

  // Begins to end the child; the reactor takes the steps. See ProcessPoller.
  // Errors: kInvalidArgument.
  absl::Status Terminate(Escalation escalation = Escalation::Standard());

  // The effect of an escalation on the child, of Terminate or of its limits;
  // also from ProcessEnded on. Errors: as ProcessPoller::termination.
  absl::StatusOr<Termination> termination() const;

  // From Pause to Resume the reactor reports nothing of the child, neither
  // output nor end, and does not read its output: a child that writes much then
  // waits, which is the purpose.
  absl::Status PauseProducing();
  absl::Status ResumeProducing();

 private:
  friend class Reactor;

  // Errors: kFailedPrecondition and kNotFound, with `call` before the child: a
  // verb and a preposition.
  absl::StatusOr<internal::PolledChild*> ChildFor(absl::string_view call) const;

  internal::PolledChild* child_ = nullptr;  // Null before the child's start and
                                            // after its end.
  pid_t pid_ = 0;
  std::string name_;                         // Of the child, for messages.
  absl::StatusOr<Termination> termination_;  // From the child's end on.
};

// The conversation with one child: write a subclass, override the methods for
// the events of interest, and give it to a Reactor. Data for which no method is
// overridden is read and dropped, so that no child ever waits for this program.
//
//   class Counter : public asyncproc::ProcessProtocol {
//     void ConnectionMade() override {
//       // If wc cannot read, its exit status shows that.
//       transport().Write("how many words are these\n").IgnoreError();
//       transport().CloseStdin().IgnoreError();
//     }
//     void OutReceived(absl::string_view data) override { said_ += data; }
//     void ProcessEnded(
//         const absl::StatusOr<asyncproc::ExitStatus>&) override {
//       std::cout << said_;  // 5
//       reactor_.Stop();
//     }
//     ...
//   };
//   auto reactor = asyncproc::Reactor::Create();
//   if (!reactor.ok()) return reactor.status();
//   auto counter = std::make_shared<Counter>(**reactor);
//   asyncproc::Command wc({"wc", "-w"});
//   absl::Status status = (*reactor)->Spawn(counter, wc);
//   if (status.ok()) status = (*reactor)->Run();
//
// The order: ConnectionMade is first. Data follows as it arrives, and for each
// pipe ConnectionLost, once, after its last data. ProcessExited, once, when the
// child has been reaped: before or after the end of a pipe. ProcessEnded, once,
// is the last: by then every pipe has had its ConnectionLost. A pipe that
// another process holds open when the child has ended is closed after
// Command::drain_grace.
//
// Reactor::Run calls all of these methods, on its thread, one at a time, with
// no lock held. They may call anything but Run: also Spawn, and the destructors
// of other objects. The reactor keeps the protocol until ProcessEnded returns.
//
// Thread safety: as its transport.
class ProcessProtocol {
 public:
  virtual ~ProcessProtocol() = default;

  // The child has been started.
  virtual void ConnectionMade() {}

  // Data from the child's stdout, and from its stderr. Not cut at lines.
  virtual void OutReceived(absl::string_view /*data*/) {}
  virtual void ErrReceived(absl::string_view /*data*/) {}
  // Data from any of the child's pipes: where this is overridden, the two
  // methods above are not called.
  virtual void ChildDataReceived(int fd, absl::string_view data);

  // The child's stdin has been closed: by this program after all data was
  // written, by the child, or by the end of the child.
  virtual void InConnectionLost() {}
  // The child has closed the pipe, drain_grace has passed, or CloseStdout was
  // called.
  virtual void OutConnectionLost() {}
  virtual void ErrConnectionLost() {}
  // The same for any of the child's pipes, `fd` being 0 for stdin: where this
  // is overridden, the three methods above are not called.
  virtual void ChildConnectionLost(int fd);

  // The child has reached one of its limits, and is being ended.
  virtual void ProcessTimedOut(const absl::Status& /*why*/) {}

  // The child has ended. Errors: kDataLoss when other code has taken its
  // status.
  virtual void ProcessExited(const absl::StatusOr<ExitStatus>& /*status*/) {}
  // The child has ended, and all its pipes are closed.
  virtual void ProcessEnded(const absl::StatusOr<ExitStatus>& /*status*/) {}

  ProcessTransport& transport() { return transport_; }

 private:
  friend class Reactor;

  ProcessTransport transport_;
};

// Runs any number of ProcessProtocols, and timed calls, on the one thread that
// is in Run.
//
// Thread safety: it belongs to one thread, but Stop and CallFromThread may be
// called from any thread.
// Ownership: the destructor kills and reaps the children that still run, and
// calls neither their protocols nor pending functions.
// Fork, stack, pthread_cancel: as Process. An exception of a protocol leaves
// Run; another Run goes on. The functions given to CallLater and CallFromThread
// must not throw.
// Blocking: Run. The destructor, for as long as killed children take to end.
class Reactor {
 public:
  using CallId = std::pair<absl::Time, uint64_t>;

  // Errors: kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Reactor>> Create();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Starts `command` now; the calls of the protocol come from Run. A stream has
  // data, or takes it, if it is a pipe (the default), a socket,
  // Stdio::LineBuffered or the terminal of Command::pty, whose output comes as
  // that of stdout. `further_pipes`: further descriptors of the child, from 3
  // on, to which it writes; their data comes to ChildDataReceived. Errors: as
  // Process::Spawn; kFailedPrecondition for a protocol that has been used;
  // kInvalidArgument for a further pipe whose number is in use already, and for
  // invalid limits; kDeadlineExceeded for a ChildLimits::timeout of zero or
  // less. The protocol is not called then.
  absl::Status Spawn(std::shared_ptr<ProcessProtocol> protocol,
                     const Command& command,
                     const std::vector<int>& further_pipes = {},
                     const ChildLimits& limits = ChildLimits());

  // Handles events until Stop is called, and then returns OK.
  // Errors: kDeadlineExceeded when time is up first, also that of a
  // WithTimeout; kCancelled by a CancellationScope; kFailedPrecondition during
  // another Run. After an error, another Run goes on.
  absl::Status Run(absl::Duration timeout = absl::InfiniteDuration());

  // The same until Stop is called or all children have ended: OK in both cases.
  absl::Status RunUntilAllEnded(
      absl::Duration timeout = absl::InfiniteDuration());

  // Makes Run return, after the call that is being made; outside of Run, makes
  // the next Run return. Any thread may call it.
  void Stop();

  // Calls `function` once, from Run, when `delay` has passed.
  CallId CallLater(absl::Duration delay, std::function<void()> function);
  // Returns false when the call has been made, or canceled, already.
  bool CancelCall(CallId call);

  // Calls `function` soon, from Run. Any thread may call this.
  void CallFromThread(std::function<void()> function);

  // Returns a descriptor for an event loop of the host, as ProcessPoller::fd:
  // readable whenever Run(absl::ZeroDuration()) has something to do, including
  // the calls of CallLater and CallFromThread. That Run returns
  // kDeadlineExceeded until Stop is called; RunUntilAllEnded returns OK when
  // all children have ended.
  // Errors: kResourceExhausted.
  absl::StatusOr<int> fd();

  // The number of children that have not ended.
  size_t running() const;

 private:
  struct Core;
  explicit Reactor(std::unique_ptr<Core> core);

  absl::Status RunWhile(absl::Duration timeout, bool until_all_ended);

  std::unique_ptr<Core> core_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_PROCESS_PROTOCOL_H_
