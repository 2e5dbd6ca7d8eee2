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
  // The encoding in which `pattern` matches lines.
  RegexEncoding encoding = RegexEncoding::kBytes;
  // Whether the colours and other control sequences that a program writes for a
  // terminal are matched and returned. By default they are removed:
  // "http://localhost:\x1b[1m5173\x1b[22m/" is "http://localhost:5173/".
  bool keep_control_sequences = false;
};

// A condition that shows that a server may be used. A value; it may be used
// again, and for several processes.
class ReadyCondition {
 public:
  // The child writes a line in which RE2's `pattern` matches
  // (https://github.com/google/re2/wiki/Syntax), anywhere unless the pattern
  // has "^" and "$". The line must be complete, or the last of the stream: for
  // a prompt, use Expect. Without `stream`, the line may be on either stream.
  //
  // Of a line of more than 1 MiB, only the first MiB is searched.
  static ReadyCondition Line(absl::string_view pattern,
                             std::optional<ChildStream> stream = std::nullopt,
                             const LineOptions& options = {});

  // A TCP port accepts a connection, which is closed at once. To the server,
  // this connection is a client: one that serves a single client, such as
  // `nc -l`, has served it then. `host` is an IPv4
  // or IPv6 address, or "localhost"; other names are not resolved, since that
  // may take long.
  //
  // Another server may have the port, for example one of an earlier run, so
  // that the child is about to fail. A connection to a process that is neither
  // the child nor one of its descendants, nor in a group or session that the
  // child leads, does not count, where /proc shows which process listens. /proc
  // does not show it for a server on another machine or in another network
  // namespace, or where this program may not examine the descriptors of one of
  // the child's descendants (another user's): then every connection counts. For
  // a child that delegates the listening to a process that existed before (a
  // container daemon, socket activation), use Probe.
  static ReadyCondition TcpPort(absl::string_view host, int port);
  // The same for a stream socket in the file system, or, if `path` begins with
  // "@", in the abstract namespace. The listening process is known only if it
  // has passed the same path to bind.
  static ReadyCondition UnixSocket(absl::string_view path);

  // A file exists, of any type. A file left by an earlier run counts.
  static ReadyCondition File(absl::string_view path);

  // `probe` returns true. It is called repeatedly, on the waiting thread, with
  // pauses of up to 10 ms; it should be quick, since the timeout and the end of
  // the child are not checked meanwhile. `what` is for messages: "the health
  // check".
  static ReadyCondition Probe(absl::string_view what,
                              std::function<bool()> probe);

  // "a line that matches /port (\d+)/ on stdout", "a connection to localhost
  // port 80" ...
  const std::string& ToString() const { return description_; }

  // For WaitUntilReady: the state of one wait for one process.
  class Check;

 private:
  using Factory =
      std::function<absl::StatusOr<std::unique_ptr<Check>>(Child& child)>;

  ReadyCondition(std::string description, Factory factory);
  friend class ReadinessWait;

  std::string description_;
  Factory factory_;
};

// The result of a wait for readiness.
struct Readiness {
  // For ReadyCondition::Line: the matched line, without control sequences
  // unless LineOptions keep them, and the matches of the pattern's groups, ""
  // for a group without a match. For example, the port that the system chose.
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
// Lines are read by a separate cursor: all other readers of the process's
// output still get all of it. Only lines that some reader has not taken yet are
// seen: wait before you read. (With OutputBound::BlockChild, only the process's
// own reader makes room: set a bound that holds all output before the line.)
//
// A child that forks and ends, as daemons do, has ended. In a Pipeline, any
// stage may be the server: the stderr of every stage counts, and a socket of
// any stage. For a recording, only Line and Probe are possible.
//
// Thread safety: any thread may wait, also several for one process.
// Blocking: up to `timeout`, which WithTimeout and CancellationScope shorten.
// Between two checks of the condition there is a pause of at most 10 ms.
// Errors: kAborted as soon as the child ends first, with its exit status;
// kDeadlineExceeded, with the child's current activity (see Diagnose); both
// with the last lines of both streams. A child that writes the line and then
// ends was ready. kFailedPrecondition when no such line can come any more: the
// streams are at their end, or were never pipes; and for the socket of a
// recording. kInvalidArgument for an invalid pattern, or an impossible host,
// port or path.
absl::StatusOr<Readiness> WaitUntilReady(Child& child,
                                         const ReadyCondition& condition,
                                         absl::Duration timeout);

}  // namespace asyncproc

#endif  // ASYNCPROC_READINESS_H_
