#include "asyncproc/readiness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/proc/listeners.h"
#include "asyncproc/internal/text/control_sequences.h"
#include "asyncproc/internal/text/elapsed.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/regex_options.h"
#include "asyncproc/internal/wait/wait.h"
#include "re2/re2.h"

namespace asyncproc {

using internal::MonotonicNow;
using internal::UniqueFd;

// Checks whether the child is ready now. Does not block.
class ReadyCondition::Check {
 public:
  virtual ~Check() = default;
  // Errors: a further check could not succeed.
  virtual absl::StatusOr<bool> Look(Readiness* readiness) = 0;
  // For the message of a failure: the obstacle that the last check met, or "".
  virtual std::string Obstacle() const { return ""; }
};

namespace {

// Short pauses at first, since most children are ready soon.
constexpr absl::Duration kFirstPause = absl::Milliseconds(1);
constexpr absl::Duration kLongestPause = absl::Milliseconds(10);

// The longest time for one check, for a child that writes without end.
constexpr absl::Duration kLongestLook = absl::Milliseconds(20);

// The most bytes of a line that are searched.
constexpr size_t kLongestLine = 1024 * 1024;

// The wait for the end of the child after the end of its output.
constexpr absl::Duration kTimeToEnd = absl::Milliseconds(200);

// One attempt to connect may get lost.
constexpr absl::Duration kConnectTimeout = absl::Seconds(1);

class LineCheck : public ReadyCondition::Check {
 public:
  LineCheck(std::shared_ptr<const RE2> regex, Child& child,
            std::optional<ChildStream> stream, bool keep_control_sequences)
      : regex_(std::move(regex)),
        keep_control_sequences_(keep_control_sequences) {
    if (stream != ChildStream::kErr) {
      cursors_.push_back(child.out().NewCursor(From::kOldest));
    }
    if (stream == ChildStream::kOut) return;
    const std::vector<Process*> processes = child.processes();
    for (Process* const process : processes) {
      cursors_.push_back(process->err().NewCursor(From::kOldest));
    }
    if (processes.empty()) {
      cursors_.push_back(child.err().NewCursor(From::kOldest));
    }
  }

  absl::StatusOr<bool> Look(Readiness* readiness) override {
    bool at_end = true;
    for (OutputCursor& cursor : cursors_) {
      const absl::Time enough = MonotonicNow() + kLongestLook / cursors_.size();
      absl::StatusOr<std::string> line = cursor.TryReadLine();
      for (; line.ok(); line = cursor.TryReadLine()) {
        if (Matches(*line, readiness)) return true;
        if (MonotonicNow() >= enough) break;
      }
      // A line longer than the bound cannot be matched: drop it.
      if (absl::IsResourceExhausted(line.status())) cursor.Read();
      if (!absl::IsOutOfRange(line.status())) at_end = false;
    }
    if (at_end) return absl::FailedPreconditionError("no more lines will come");
    return false;
  }

 private:
  bool Matches(const std::string& written, Readiness* readiness) const {
    const absl::string_view part =
        absl::string_view(written).substr(0, kLongestLine);
    const std::string line = keep_control_sequences_
                                 ? std::string(part)
                                 : internal::StripControlSequences(part);
    const int groups = regex_->NumberOfCapturingGroups();
    std::vector<absl::string_view> parts(static_cast<size_t>(groups) + 1);
    if (!regex_->Match(line, 0, line.size(), RE2::UNANCHORED, parts.data(),
                       groups + 1)) {
      return false;
    }
    readiness->line = line;
    readiness->groups.assign(parts.begin() + 1, parts.end());
    return true;
  }

  const std::shared_ptr<const RE2> regex_;
  const bool keep_control_sequences_;
  std::vector<OutputCursor> cursors_;
};

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
};

// Whether the socket is connected to itself, which happens when the system
// chooses the destination port as the local port.
bool IsConnectedToItself(int fd) {
  sockaddr_storage own = {}, peer = {};
  socklen_t own_size = sizeof(own), peer_size = sizeof(peer);
  return getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
         own.ss_family != AF_UNIX && own_size == peer_size &&
         memcmp(&own, &peer, own_size) == 0;
}

// Connects to one address, with as many attempts as necessary.
class Connector {
 public:
  explicit Connector(Address address) : address_(address) {}

  // Returns false also when no socket is available: there may be one later.
  bool Look() {
    if (!socket_.valid() && !Begin()) return false;
    pollfd fd = {socket_.get(), POLLOUT, 0};
    if (internal::GetOs().Poll(&fd, 1, absl::InfinitePast()) <= 0) {
      if (MonotonicNow() >= give_up_) socket_.Reset();
      return false;
    }
    const bool connected = Succeeded();
    socket_.Reset();
    return connected;
  }

 private:
  bool Begin() {
    socket_ = internal::AboveStdio(internal::UniqueFd(
        socket(address_.storage.ss_family,
               SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
    if (!socket_.valid()) return false;
    give_up_ = MonotonicNow() + kConnectTimeout;
    if (connect(socket_.get(), address_.get(), address_.size) == 0 ||
        errno == EINPROGRESS || errno == EINTR) {
      return true;
    }
    socket_.Reset();
    return false;
  }

  bool Succeeded() const {
    int error = 0;
    socklen_t size = sizeof(error);
    return getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) ==
               0 &&
           error == 0 && !IsConnectedToItself(socket_.get());
  }

  const Address address_;
  UniqueFd socket_;
  absl::Time give_up_;
};

class SocketCheck : public ReadyCondition::Check {
 public:
  // `listeners`: the sockets at these addresses that /proc lists.
  SocketCheck(const std::vector<Address>& addresses,
              std::function<std::set<ino_t>()> listeners, Child& child)
      : listeners_(std::move(listeners)), child_(child) {
    for (const Address& address : addresses) connectors_.emplace_back(address);
  }

  absl::StatusOr<bool> Look(Readiness*) override {
    other_.reset();
    return std::any_of(connectors_.begin(), connectors_.end(),
                       [](Connector& connector) { return connector.Look(); }) &&
           MayBeOurs();
  }

  std::string Obstacle() const override {
    if (!other_.has_value()) return "";
    return absl::StrCat("; the connection was accepted by ", other_->command,
                        " (pid ", other_->pid,
                        "), which is not a descendant of the child");
  }

 private:
  // Whether the process that has accepted the connection belongs to the child,
  // as far as /proc shows that.
  bool MayBeOurs() {
    std::set<ino_t> listeners = listeners_();
    // A search of all processes is slow: not repeated for the same sockets.
    if (strange_.has_value() && listeners == strange_listeners_) {
      other_ = strange_;
      return false;
    }
    std::optional<internal::SocketOwner> owner;
    bool unknown = false;
    for (Process* const process : child_.processes()) {
      if (!process->IsAlive()) continue;
      owner = internal::FindSocketOwner(listeners, process->pid());
      if (owner->kind == internal::SocketOwner::Kind::kFamily) return true;
      unknown |= owner->kind == internal::SocketOwner::Kind::kUnknown;
    }
    // The descriptors of a process that is ending are hidden for a moment.
    if (std::exchange(was_unknown_, unknown) && unknown) return true;
    if (unknown || !owner.has_value()) return false;
    other_ = strange_ = std::move(owner);
    strange_listeners_ = std::move(listeners);
    return false;
  }

  const std::function<std::set<ino_t>()> listeners_;
  Child& child_;
  std::vector<Connector> connectors_;
  std::optional<internal::SocketOwner> other_;    // Found by the last check.
  std::optional<internal::SocketOwner> strange_;  // The last found by a search,
  std::set<ino_t> strange_listeners_;             // of these sockets.
  bool was_unknown_ = false;  // Whether the last search found no owner.
};

class ProbeCheck : public ReadyCondition::Check {
 public:
  explicit ProbeCheck(std::function<bool()> probe) : probe_(std::move(probe)) {}

  absl::StatusOr<bool> Look(Readiness*) override { return probe_(); }

 private:
  const std::function<bool()> probe_;
};

template <typename T>
Address MakeAddress(const T& specific) {
  Address address;
  memcpy(&address.storage, &specific, sizeof(specific));
  address.size = sizeof(specific);
  return address;
}

absl::StatusOr<std::vector<Address>> TcpAddresses(const std::string& host,
                                                  int port) {
  if (port < 1 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("no such port: ", port));
  }
  const bool local = host == "localhost";
  std::vector<Address> addresses;
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, local ? "127.0.0.1" : host.c_str(), &v4.sin_addr) ==
      1) {
    addresses.push_back(MakeAddress(v4));
  }
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET6, local ? "::1" : host.c_str(), &v6.sin6_addr) == 1) {
    addresses.push_back(MakeAddress(v6));
  }
  if (addresses.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", internal::Printable(host),
                     "' is neither an address nor \"localhost\""));
  }
  return addresses;
}

absl::StatusOr<std::vector<Address>> UnixAddress(const std::string& path) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the path of a socket has 1 to ", sizeof(name.sun_path) - 1,
        " characters: '", internal::Printable(path), "'"));
  }
  memcpy(name.sun_path, path.data(), path.size());
  Address address = MakeAddress(name);
  if (path[0] == '@') {
    // The length of an abstract name is that of its address.
    reinterpret_cast<sockaddr_un*>(&address.storage)->sun_path[0] = '\0';
    address.size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  }
  return std::vector<Address>{address};
}

absl::StatusOr<std::unique_ptr<ReadyCondition::Check>> CheckSockets(
    const absl::StatusOr<std::vector<Address>>& addresses,
    std::function<std::set<ino_t>()> listeners, Child& child) {
  if (!addresses.ok()) return addresses.status();
  if (child.processes().empty()) {
    return absl::FailedPreconditionError("a recording has no sockets");
  }
  return std::make_unique<SocketCheck>(*addresses, std::move(listeners), child);
}

const char* NameOf(std::optional<ChildStream> stream) {
  if (!stream.has_value()) return "stdout or stderr";
  return *stream == ChildStream::kOut ? "stdout" : "stderr";
}

}  // namespace

ReadyCondition::ReadyCondition(std::string description, Factory factory)
    : description_(std::move(description)), factory_(std::move(factory)) {}

ReadyCondition ReadyCondition::Line(absl::string_view pattern,
                                    std::optional<ChildStream> stream,
                                    const LineOptions& options) {
  auto regex = std::make_shared<const RE2>(
      pattern, internal::RegexOptions(options.encoding));
  return ReadyCondition(
      absl::StrCat("a line that matches /", internal::Printable(pattern),
                   "/ on ", NameOf(stream)),
      [regex, stream, keep = options.keep_control_sequences](
          Child& child) -> absl::StatusOr<std::unique_ptr<Check>> {
        if (!regex->ok()) return absl::InvalidArgumentError(regex->error());
        return std::make_unique<LineCheck>(regex, child, stream, keep);
      });
}

ReadyCondition ReadyCondition::TcpPort(absl::string_view host, int port) {
  return ReadyCondition(
      absl::StrCat("a connection to ", internal::Printable(host), " port ",
                   port),
      [host = std::string(host), port](Child& child) {
        return CheckSockets(
            TcpAddresses(host, port),
            [port] { return internal::ListenersOnPort(port); }, child);
      });
}

ReadyCondition ReadyCondition::UnixSocket(absl::string_view path) {
  return ReadyCondition(
      absl::StrCat("a connection to ", internal::Printable(path)),
      [path = std::string(path)](Child& child) {
        return CheckSockets(
            UnixAddress(path),
            [path] { return internal::ListenersAtPath(path); }, child);
      });
}

ReadyCondition ReadyCondition::File(absl::string_view path) {
  return Probe(absl::StrCat("the file ", internal::Printable(path)),
               [path = std::string(path)] {
                 struct stat info;
                 return stat(path.c_str(), &info) == 0;
               });
}

ReadyCondition ReadyCondition::Probe(absl::string_view what,
                                     std::function<bool()> probe) {
  return ReadyCondition(std::string(what),
                        [probe = std::move(probe)](
                            Child&) -> absl::StatusOr<std::unique_ptr<Check>> {
                          return std::make_unique<ProbeCheck>(probe);
                        });
}

// One call of WaitUntilReady.
class ReadinessWait {
 public:
  ReadinessWait(Child& child, const ReadyCondition& condition)
      : child_(child), condition_(condition), start_(MonotonicNow()) {}

  absl::StatusOr<Readiness> Wait(absl::Duration timeout) {
    absl::StatusOr<std::unique_ptr<ReadyCondition::Check>> made =
        condition_.factory_(child_);
    if (!made.ok()) {
      return Failed(made.status().code(), made.status().message());
    }
    check_ = *std::move(made);
    const absl::Time deadline = internal::DeadlineAfter(timeout);
    absl::Duration pause = kFirstPause;
    for (;;) {
      // In this order, so that the last output before the end is checked too.
      const absl::StatusOr<ExitStatus> end = child_.Wait(WNOHANG);
      const absl::StatusOr<bool> ready = check_->Look(&readiness_);
      if (ready.ok() && *ready) return Succeeded();
      if (!absl::IsUnavailable(end.status())) return Ended(end);
      if (!ready.ok()) return Hopeless(ready.status(), deadline);
      if (MonotonicNow() >= deadline) return TimedOut(timeout);
      if (absl::Status status =
              internal::SleepUntil(std::min(deadline, MonotonicNow() + pause));
          !status.ok()) {
        return GivenUp(status);
      }
      pause = std::min(pause * 2, kLongestPause);
    }
  }

 private:
  absl::Duration Elapsed() const { return MonotonicNow() - start_; }

  Readiness Succeeded() {
    readiness_.elapsed = Elapsed();
    return std::move(readiness_);
  }

  // After the end of its output a child usually ends, too: its exit status is
  // then the better message.
  absl::Status Hopeless(const absl::Status& why, absl::Time deadline) {
    const absl::StatusOr<ExitStatus> end = child_.WaitFor(std::min(
        kTimeToEnd, std::max(deadline - MonotonicNow(), absl::ZeroDuration())));
    if (end.ok() || absl::IsDataLoss(end.status())) return Ended(end);
    return Failed(why.code(), why.message());
  }

  absl::Status Ended(const absl::StatusOr<ExitStatus>& end) const {
    return Failed(absl::StatusCode::kAborted,
                  end.ok() ? absl::StrCat("it has ended: ", end->ToString())
                           : std::string(end.status().message()));
  }

  absl::Status TimedOut(absl::Duration timeout) const {
    return Failed(absl::StatusCode::kDeadlineExceeded,
                  absl::StrCat("not after ", absl::FormatDuration(timeout),
                               "; ", Diagnosed()));
  }

  absl::Status GivenUp(const absl::Status& why) const {
    return Failed(why.code(),
                  absl::StrCat("the wait ended after ",
                               internal::FormatElapsed(Elapsed()), ": ",
                               why.message(), "; ", Diagnosed()));
  }

  absl::Status Failed(absl::StatusCode code, absl::string_view what) const {
    return absl::Status(
        code, absl::StrCat(child_.DebugString(), " is not ready (",
                           condition_.ToString(), "): ", what,
                           check_ == nullptr ? "" : check_->Obstacle(),
                           child_.out().LastLines("stdout"),
                           child_.err().LastLines("stderr")));
  }

  std::string Diagnosed() const {
    const std::vector<Diagnosis> found = DiagnoseAll(child_);
    return found.empty() ? "it has not ended"
                         : absl::StrJoin(found, "; ", absl::StreamFormatter());
  }

  Child& child_;
  const ReadyCondition& condition_;
  const absl::Time start_;
  std::unique_ptr<ReadyCondition::Check> check_;
  Readiness readiness_;
};

absl::StatusOr<Readiness> WaitUntilReady(Child& child,
                                         const ReadyCondition& condition,
                                         absl::Duration timeout) {
  return ReadinessWait(child, condition).Wait(timeout);
}

}  // namespace asyncproc
