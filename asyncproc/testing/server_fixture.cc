#include "asyncproc/testing/server_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {
namespace {

constexpr int kMostAttempts = 5;
constexpr size_t kMostLogged = 64 * 1024;

// Without its first letter, which programs write in either case.
constexpr absl::string_view kPortIsUsed = "ddress already in use";

}  // namespace

Escalation ServerSpec::DefaultStop() {
  Escalation stop;
  stop.steps = {EscalationStep::Signal(SIGTERM, absl::Seconds(10)),
                EscalationStep::Signal(SIGKILL, absl::Seconds(5))};
  stop.scope = TerminationScope::kTree;
  return stop;
}

absl::StatusOr<int> FreeTcpPort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot make a socket");
  const absl::Cleanup close_fd = [fd] { close(fd); };
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, size) < 0 || getsockname(fd, generic, &size) < 0) {
    return absl::ErrnoToStatus(errno, "there is no free TCP port");
  }
  return ntohs(address.sin_port);
}

// The last lines of both streams, in order of arrival.
class TestServer::Lines {
 public:
  const internal::ForkStamp stamp;

  void Add(absl::string_view stream, absl::string_view line)
      ABSL_LOCKS_EXCLUDED(mu_) {
    internal::MutexLock lock(mu_);
    lines_.push_back(absl::StrCat(stream, ": ", line, "\n"));
    size_ += lines_.back().size();
    while (size_ > kMostLogged && lines_.size() > 1) {
      size_ -= lines_.front().size();
      lines_.pop_front();
      ++dropped_;
    }
  }

  std::string Text() const ABSL_LOCKS_EXCLUDED(mu_) {
    internal::MutexLock lock(mu_);
    return absl::StrCat(
        dropped_ > 0 ? absl::StrCat("(", dropped_, " lines before these)\n")
                     : "",
        absl::StrJoin(lines_, ""));
  }

 private:
  mutable absl::Mutex mu_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mu_);
  size_t size_ ABSL_GUARDED_BY(mu_) = 0;
  size_t dropped_ ABSL_GUARDED_BY(mu_) = 0;
};

TestServer::TestServer(int port, Escalation stop,
                       std::unique_ptr<Process> process)
    : port_(port),
      stop_(std::move(stop)),
      lines_(std::make_shared<Lines>()),
      process_(std::move(process)) {}

TestServer::~TestServer() {
  // In a forked copy of the host, the server belongs to the original.
  if (!lines_->stamp.IsForkedCopy()) Stop().IgnoreError();
}

absl::StatusOr<std::unique_ptr<TestServer>> TestServer::Start(
    const std::function<ServerSpec(int port)>& make_spec) {
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<int> port = FreeTcpPort();
    if (!port.ok()) return port.status();
    absl::StatusOr<std::unique_ptr<TestServer>> server =
        StartAt(*port, make_spec(*port));
    if (server.ok() || attempt == kMostAttempts ||
        !absl::IsAborted(server.status()) ||
        !absl::StrContains(server.status().message(), kPortIsUsed)) {
      return server;
    }
  }
}

absl::StatusOr<std::unique_ptr<TestServer>> TestServer::StartAt(
    int port, const ServerSpec& spec) {
  if (absl::Status status = spec.stop.Validate(); !status.ok()) return status;
  if (absl::Status status = internal::CheckWaitScopes(); !status.ok()) {
    return internal::Prefixed(
        absl::StrCat(spec.command.DebugString(), " was not started"), status);
  }
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Spawn(spec.command);
  if (!process.ok()) return process.status();
  auto server =
      absl::WrapUnique(new TestServer(port, spec.stop, *std::move(process)));
  const auto keep = [&](OutputStream& stream, absl::string_view name,
                        TapHandle* handle) {
    absl::StatusOr<TapHandle> tap =
        stream.AddTap([lines = server->lines_, name](
                          absl::string_view line) { lines->Add(name, line); },
                      TapUnit::kLine);
    if (tap.ok()) *handle = *std::move(tap);
    return tap.status();
  };
  absl::Status status = keep(server->process_->out(), "stdout", &server->out_);
  status.Update(keep(server->process_->err(), "stderr", &server->err_));
  if (!status.ok()) return status;
  absl::StatusOr<Readiness> ready =
      WaitUntilReady(*server->process_, spec.ready, spec.start_timeout);
  if (!ready.ok()) return ready.status();
  server->readiness_ = *std::move(ready);
  return server;
}

std::string TestServer::Log() const { return lines_->Text(); }

absl::StatusOr<Termination> TestServer::Stop() {
  if (!absl::IsUnavailable(stopped_.status())) return stopped_;
  stopped_ = process_->Terminate(stop_);
  if (stopped_.ok()) {
    out_.Finish();
    err_.Finish();
  }
  out_.Remove();
  err_.Remove();
  return stopped_;
}

void ServerFixture::SetUp() {
  absl::StatusOr<std::unique_ptr<TestServer>> server =
      TestServer::Start([this](int port) { return MakeServer(port); });
  if (!server.ok()) {
    FAIL() << "the server of this test is not ready: " << server.status();
  }
  server_ = *std::move(server);
}

absl::StatusOr<Termination> ServerFixture::StopServer() {
  stopped_by_test_ = true;
  return server_->Stop();
}

void ServerFixture::TearDown() {
  if (server_ == nullptr) return;
  const absl::StatusOr<Termination> stopped = server_->Stop();
  if (stopped_by_test_) {
    // The test has seen the result.
  } else if (!stopped.ok()) {
    ADD_FAILURE() << "the server cannot be stopped: " << stopped.status();
  } else if (!stopped->ended_by_step.has_value()) {
    ADD_FAILURE() << "the server ended before the test did: "
                  << stopped->status;
  } else if (stopped->status == ExitStatus::Signaled(SIGKILL)) {
    ADD_FAILURE() << "the server did not end when it was told to, and was "
                     "killed after "
                  << absl::FormatDuration(stopped->elapsed);
  } else if (!stopped->survivors.empty()) {
    ADD_FAILURE() << "processes of the server cannot be ended, "
                  << stopped->survivors[0].command << " (pid "
                  << stopped->survivors[0].pid << ") for one";
  }
  if (HasFailure()) {
    std::cerr << "---- the server wrote:\n"
              << server_->Log() << "---- the end of what the server wrote\n";
  }
  server_ = nullptr;
}

}  // namespace asyncproc
