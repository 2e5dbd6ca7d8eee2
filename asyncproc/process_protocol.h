#ifndef ASYNCPROC_PROCESS_PROTOCOL_H_
#define ASYNCPROC_PROCESS_PROTOCOL_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
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

// What a ProcessProtocol can do with its child. Nothing here blocks.
//
// Every method returns kFailedPrecondition before the child has been started,
// and, but for termination, kNotFound from ProcessEnded on; what else it
// returns is said with it.
//
// Thread safety: none: it belongs to the thread of the reactor. Others go by
// Reactor::CallFromThread.
class ProcessTransport {
 public:
  // 0 before the child has been started. Stays the same when it has ended.
  pid_t pid() const { return pid_; }

  // Queues `data` for the child's stdin; takes all or nothing.
  // Errors: kFailedPrecondition when stdin is not a pipe or has been closed, by
  // us or by the child; kResourceExhausted as Process::Write.
  absl::Status Write(absl::string_view data);
  // The same for one after the other, up to the first that is refused.
  absl::Status WriteSequence(absl::Span<const absl::string_view> pieces);

  // End-of-file for the child, behind what was written. Again: does nothing.
  // Errors: kFailedPrecondition when stdin is not a pipe.
  absl::Status CloseStdin();

  // No more of this output is wanted: the child gets SIGPIPE, or EPIPE, when it
  // writes more. What was read by then still comes.
  // Errors: kNotFound when it is not a pipe, or is closed.
  absl::Status CloseStdout() { return CloseChildFd(1); }
  absl::Status CloseStderr() { return CloseChildFd(2); }
  // By the child's number for it, also of a further pipe.
  absl::Status CloseChildFd(int fd);

  // All of these: stdin behind what was written, and every output.
  absl::Status LoseConnection();

  // Errors: kNotFound also when it has just ended; as Process::Signal.
  absl::Status SignalProcess(int signal);

  // Begins to end it; the reactor takes the steps. See ProcessPoller.
  // Errors: kInvalidArgument.
  absl::Status Terminate(Escalation escalation = Escalation::Standard());

  // What an escalation did to the child, Terminate's or that of its limits;
  // also from ProcessEnded on. Errors: as ProcessPoller::termination.
  absl::StatusOr<Termination> termination() const;

  // From Pause to Resume nothing of the child is reported, neither output nor
  // end, and its output is not read: a child that writes much then waits, which
  // is the purpose.
  absl::Status PauseProducing();
  absl::Status ResumeProducing();

 private:
  friend class Reactor;

  absl::StatusOr<internal::PolledChild*> Child() const;

  internal::PolledChild* child_ = nullptr;  // Null before its start and behind
                                            // its end.
  pid_t pid_ = 0;
  absl::StatusOr<Termination> termination_;  // From the end on.
};

// One child as a conversation: subclass it, override what you want to hear of,
// and hand it to a Reactor. What is not overridden is read and thrown away, so
// that no child ever waits for us.
//
//   class Counter : public asyncproc::ProcessProtocol {
//     void ConnectionMade() override {
//       // That it reads nothing, its status will say.
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
// The order: ConnectionMade is first. Then data as it comes, and for each pipe
// ConnectionLost, once, behind its last data. ProcessExited, once, when the
// child has been reaped: it may come before the end of a pipe, or behind it.
// ProcessEnded, once, is the last: by then every pipe has had its
// ConnectionLost. A pipe that another process holds open when the child has
// ended is given up after Command::drain_grace, and closed.
//
// All are called by Reactor::Run, on its thread, one at a time, with no lock
// held, and may call anything but Run: also Spawn, and the destructor of what
// else they know. The reactor keeps the protocol until ProcessEnded returns.
//
// Thread safety: as its transport.
class ProcessProtocol {
 public:
  virtual ~ProcessProtocol() = default;

  // The child has been started.
  virtual void ConnectionMade() {}

  // Data from its stdout, its stderr. Not cut at lines.
  virtual void OutReceived(absl::string_view /*data*/) {}
  virtual void ErrReceived(absl::string_view /*data*/) {}
  // Data from any of its pipes: where this is overridden, the two above are not
  // called.
  virtual void ChildDataReceived(int fd, absl::string_view data);

  // Its stdin has been closed: by us when all was written, or by the child, or
  // by its end.
  virtual void InConnectionLost() {}
  // The child has closed it, or it was given up, or CloseStdout was called.
  virtual void OutConnectionLost() {}
  virtual void ErrConnectionLost() {}
  // Any of its pipes, `fd` being 0 for stdin: where this is overridden, the
  // three above are not called.
  virtual void ChildConnectionLost(int fd);

  // It has reached one of its limits, and is being ended.
  virtual void ProcessTimedOut(const absl::Status& /*why*/) {}

  // It has ended. Errors: kDataLoss when its status was taken by someone else.
  virtual void ProcessExited(const absl::StatusOr<ExitStatus>& /*status*/) {}
  // And all its pipes are closed.
  virtual void ProcessEnded(const absl::StatusOr<ExitStatus>& /*status*/) {}

  ProcessTransport& transport() { return transport_; }

 private:
  friend class Reactor;

  ProcessTransport transport_;
};

// Runs any number of ProcessProtocols, and calls at points in time, on the one
// thread that is in Run.
//
// Thread safety: it belongs to one thread, but Stop and CallFromThread may be
// called from any.
// Ownership: the destructor kills and reaps the children that still run, and
// calls nobody.
// Fork, stack, pthread_cancel: as Process. An exception of a protocol comes out
// of Run; another Run goes on. What is given to CallLater and CallFromThread
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

  // Starts `command` now; the protocol hears of it in Run. Streams that are to
  // be talked to are pipes, as they are by default.
  // `further_pipes`: further descriptors of the child, from 3 on, to which it
  // writes, and whose data come to ChildDataReceived.
  // Errors: as Process::Spawn; kFailedPrecondition for a protocol that has been
  // used; kInvalidArgument for a further pipe that is something else already.
  // The protocol is not called then.
  absl::Status Spawn(std::shared_ptr<ProcessProtocol> protocol,
                     const Command& command,
                     const std::vector<int>& further_pipes = {},
                     const ChildLimits& limits = ChildLimits());

  // Handles what happens until Stop is called, which is OK.
  // Errors: kDeadlineExceeded when time is up first, that of a WithTimeout too;
  // kCancelled by a CancellationScope; kFailedPrecondition when it is running.
  // Another Run goes on.
  absl::Status Run(absl::Duration timeout = absl::InfiniteDuration());

  // The same until no child is left, which is OK, too.
  absl::Status RunUntilAllEnded(
      absl::Duration timeout = absl::InfiniteDuration());

  // Makes Run return, after the call that is being made; the next one if it is
  // not running. Any thread may call it.
  void Stop();

  // Calls `function` once, from Run, when `delay` has passed.
  CallId CallLater(absl::Duration delay, std::function<void()> function);
  // False when it has been called, or canceled, already.
  bool CancelCall(CallId call);

  // Calls `function` soon, from Run. Any thread may call this.
  void CallFromThread(std::function<void()> function);

  // A descriptor for an event loop of the host's, as ProcessPoller::fd:
  // readable whenever Run(absl::ZeroDuration()) has something to do, also a
  // call that CallLater or CallFromThread asked for. That Run returns
  // kDeadlineExceeded until Stop is called; RunUntilAllEnded, OK when no child
  // is left.
  // Errors: kResourceExhausted.
  absl::StatusOr<int> fd();

  // Children that have not ended.
  size_t running() const;

 private:
  struct Core;
  explicit Reactor(std::unique_ptr<Core> core);

  absl::Status RunWhile(absl::Duration timeout, bool until_all_ended);

  std::unique_ptr<Core> core_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_PROCESS_PROTOCOL_H_
