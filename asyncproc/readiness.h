#ifndef ASYNCPROC_READINESS_H_
#define ASYNCPROC_READINESS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/process.h"
#include "asyncproc/regex_encoding.h"

namespace asyncproc {

// How ReadyCondition::Line reads lines.
struct LineOptions {
  // The encoding in which `pattern` matches them.
  RegexEncoding encoding = RegexEncoding::kBytes;
  // Whether the colours and other control sequences that a program writes for a
  // terminal are matched, and returned, as they are. By default they are left
  // out: "http://localhost:\x1b[1m5173\x1b[22m/" is "http://localhost:5173/".
  bool keep_control_sequences = false;
};

// What shows that a server may be used. A value; it may be used again, and for
// several processes.
class ReadyCondition {
 public:
  // It says a line in which RE2's `pattern` matches
  // (https://github.com/google/re2/wiki/Syntax), anywhere unless the pattern
  // has "^" and "$". The line has to be complete, or the last: a prompt is
  // none; see Expect for that. Without a stream, it may say it on either.
  //
  // Of a line of more than 1 MiB, the first MiB is looked at.
  static ReadyCondition Line(absl::string_view pattern,
                             std::optional<ChildStream> stream = std::nullopt,
                             const LineOptions& options = {});

  // A TCP port accepts a connection, which is closed at once. `host` is an
  // address, IPv4 or IPv6, or "localhost"; other names are not looked up, since
  // that may take long.
  //
  // Another server may have the port, one of an earlier run say, so that the
  // child is about to fail. A connection to a process that is neither the child
  // nor one of its descendants, nor in a group or session that the child leads,
  // does not count, where /proc shows which process listens. /proc does not
  // show it for a server on another machine or in another network namespace,
  // or where the descriptors of one of the child's descendants may not be
  // looked at (another user's): then every connection counts. For a child that
  // leaves the listening to a process that was there before (a daemon of
  // containers, socket activation), use Probe.
  static ReadyCondition TcpPort(absl::string_view host, int port);
  // Likewise a stream socket in the file system, or if `path` begins with "@",
  // in the abstract namespace. Which process listens is known where that has
  // given bind the same path.
  static ReadyCondition UnixSocket(absl::string_view path);

  // There is a file, of any kind. One that an earlier run has left counts.
  static ReadyCondition File(absl::string_view path);

  // `probe` returns true. It is called again and again, on the thread that
  // waits, with pauses of up to 10 ms; it should be quick, since the timeout
  // and the end of the child are not looked at meanwhile. `what` is for
  // messages: "the health check".
  static ReadyCondition Probe(absl::string_view what,
                              std::function<bool()> probe);

  // "a line that matches /port (\d+)/ on stdout", "a connection to localhost
  // port 80" ...
  const std::string& ToString() const { return description_; }

  // For WaitUntilReady: one wait for one process.
  class Check;

 private:
  using Factory =
      std::function<absl::StatusOr<std::unique_ptr<Check>>(Child& child)>;

  ReadyCondition(std::string description, Factory factory);
  friend class ReadinessWait;

  std::string description_;
  Factory factory_;
};

// How it became ready.
struct Readiness {
  // ReadyCondition::Line: the line as it was matched, without control
  // sequences unless LineOptions keep them, and what the pattern's ( ) matched
  // in it, "" where they did not. The port that the system chose, for instance.
  std::string line;
  std::vector<std::string> groups;
  absl::Duration elapsed;
};

// Waits until a child that has been started is ready to be used.
//
//   auto server = asyncproc::Process::Spawn(
//       asyncproc::Command({"python3", "-u", "-m", "http.server", "0"}));
//   auto ready = asyncproc::WaitUntilReady(
//       **server, asyncproc::ReadyCondition::Line("port (\\d+)"),
//       absl::Seconds(10));
//   if (!ready.ok()) return ready.status();   // It says what the server said.
//   const std::string& port = ready->groups[0];
//
// Lines are read by a cursor of its own: whoever reads the process's output
// still gets all of it. Only lines that some reader has yet to take are seen:
// wait before you read. (With OutputBound::BlockChild, nobody but the process's
// own reader makes room: give it enough for what is said before the line.)
//
// A child that forks and ends, as daemons do, has ended. Of a Pipeline, any
// stage may be the server: stderr is that of each, and the socket any stage's.
// A recording can only be waited for by Line and Probe.
//
// Thread safety: any thread may wait, also several for one process.
// Blocking: up to `timeout`, which WithTimeout and CancellationScope shorten.
// Between two looks there are never more than 10 ms. Errors: kAborted as soon
// as the child ends first, with its exit status; kDeadlineExceeded, with what
// the child was found to be doing (see Diagnose); both with the last lines of
// both streams. A child that says the line and then ends was ready.
// kFailedPrecondition when no such line can come any more: the streams are at
// their end, or were never pipes; and for the socket of a recording.
// kInvalidArgument for a pattern that is none, or an impossible host, port or
// path.
absl::StatusOr<Readiness> WaitUntilReady(Child& child,
                                         const ReadyCondition& condition,
                                         absl::Duration timeout);

}  // namespace asyncproc

#endif  // ASYNCPROC_READINESS_H_
