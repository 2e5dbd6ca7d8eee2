#ifndef ASYNCPROC_TESTING_SERVER_FIXTURE_H_
#define ASYNCPROC_TESTING_SERVER_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"
#include "asyncproc/readiness.h"
#include "asyncproc/termination.h"
#include "gtest/gtest.h"

namespace asyncproc {

// A server for a test: how to start it, how to detect that it is ready, and how
// to stop it.
struct ServerSpec {
  Command command;
  ReadyCondition ready;
  absl::Duration start_timeout = absl::Seconds(30);
  // SIGTERM, 10 s for the server to end in order, then SIGKILL; also for the
  // processes that the server has started.
  Escalation stop = DefaultStop();

  static Escalation DefaultStop();
};

// A TCP port of this machine that no program uses now. Another program may take
// it before the server does: TestServer then tries another port. A server that
// chooses its own port (port 0), and reports it, always gets one.
// Errors: kResourceExhausted.
absl::StatusOr<int> FreeTcpPort();

// A server in a test: started, ready, and stopped in order; its output is kept,
// and shown when a test fails. ServerFixture has one server for each test; use
// this class for one server for all tests of a suite, and for several at once.
//
//   auto server = asyncproc::TestServer::Start([](int port) {
//     return asyncproc::ServerSpec{
//         asyncproc::Command({"./server", "--port", absl::StrCat(port)}),
//         asyncproc::ReadyCondition::TcpPort("127.0.0.1", port)};
//   });
//   ASSERT_TRUE(server.ok()) << server.status();  // Has what the server wrote.
//   Visit((*server)->port());
//   auto stopped = (*server)->Stop();
//
// Thread safety: all methods may be called from any thread, except that Stop
// and the destructor must not overlap another call.
// Ownership: the server, and the threads that keep its output. The destructor
// stops the server; in a forked copy of the host, it does nothing.
// Blocking: Start; Stop and the destructor, for the escalation in
// ServerSpec::stop.
class TestServer {
 public:
  // Starts the server that `make_spec` describes for a free port, and waits
  // until it is ready. If the server ends at once because the port is in use
  // ("Address already in use"), tries again with another port, 5 times in all.
  // Errors: as Process::Spawn and WaitUntilReady, with the last lines of both
  // streams; no server is left running.
  static absl::StatusOr<std::unique_ptr<TestServer>> Start(
      const std::function<ServerSpec(int port)>& make_spec);

  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  // The port passed to make_spec.
  int port() const { return port_; }
  // How the server became ready: for example, with the line that showed it.
  const Readiness& readiness() const { return readiness_; }
  Process& process() { return *process_; }

  // All output of the server, line by line in order of arrival, with "stdout: "
  // or "stderr: " before each; at most the last 64 KiB. The lines of
  // process().out() are still there for the test to read.
  std::string Log() const;

  // Stops the server; a second call returns the same result. For a server that
  // has already ended by itself, there is no Termination::ended_by_step.
  // Errors: as Process::Terminate.
  absl::StatusOr<Termination> Stop();

 private:
  class Lines;

  TestServer(int port, Escalation stop, std::unique_ptr<Process> process);
  static absl::StatusOr<std::unique_ptr<TestServer>> StartAt(
      int port, const ServerSpec& spec);

  const int port_;
  const Escalation stop_;
  const std::shared_ptr<Lines> lines_;
  const std::unique_ptr<Process> process_;
  Readiness readiness_;
  TapHandle out_;
  TapHandle err_;
  absl::StatusOr<Termination> stopped_ = absl::UnavailableError("runs");
};

// A test fixture with a server that runs during each test.
//
//   class WebServerTest : public asyncproc::ServerFixture {
//     asyncproc::ServerSpec MakeServer(int port) override {
//       return {asyncproc::Command(
//                   {"python3", "-m", "http.server", absl::StrCat(port)}),
//               asyncproc::ReadyCondition::TcpPort("127.0.0.1", port)};
//     }
//   };
//
//   TEST_F(WebServerTest, LogsAVisit) {
//     Visit(port());
//     EXPECT_THAT(server(), asyncproc::SaysLine(testing::HasSubstr("GET /")));
//   }
//
// The test fails, and prints all output of the server, when
// - the server cannot be started, is not ready in time, or ends before it is
//   ready: then the body of the test does not run;
// - the server ends by itself before the test does, for example by a crash;
// - the server does not end when it is told to, and has to be killed, or
//   processes that it has started cannot be ended.
// The output of the server is also printed when the test fails by itself.
//
// With Bazel: @asyncproc//asyncproc/testing:server_fixture, and
// @asyncproc//asyncproc/testing:matchers for SaysLine and ExitsWith.
// tools/examples/http_server_test.cc is a whole test.
//
// A fixture with its own SetUp or TearDown calls those of this class: its SetUp
// calls that of this class first, and its TearDown calls it last.
class ServerFixture : public testing::Test {
 protected:
  // The server for one test. `port` is free; a server that uses no port ignores
  // it. May be called several times: see TestServer::Start.
  virtual ServerSpec MakeServer(int port) = 0;

  void SetUp() override;
  void TearDown() override;

  // REQUIRES for these: a test, or the TearDown of a test that ran.
  int port() const { return server_->port(); }
  const Readiness& readiness() const { return server_->readiness(); }
  Process& server() { return server_->process(); }
  std::string ServerLog() const { return server_->Log(); }

  // For a test about the end of the server, or a test that ends the server
  // itself: stops the server now, without an expectation about how it ends.
  absl::StatusOr<Termination> StopServer();

 private:
  std::unique_ptr<TestServer> server_;
  bool stopped_by_test_ = false;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTING_SERVER_FIXTURE_H_
