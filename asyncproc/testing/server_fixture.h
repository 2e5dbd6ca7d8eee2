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

// A server that a test needs: how it is started, what shows that it is ready,
// and how it is stopped.
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
// it before the server does: TestServer then tries another. A server that can
// choose for itself (port 0), and says which it has chosen, is never refused.
// Errors: kResourceExhausted.
absl::StatusOr<int> FreeTcpPort();

// A server in a test: started, ready, and stopped in order; what it writes is
// kept for the test that fails. ServerFixture has one for each test; use this
// class for one server for all tests of a suite, and for several at once.
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
// Thread safety: any thread may call anything, but for Stop and the destructor,
// which must not overlap another call.
// Ownership: the server, and two threads that keep what it writes. The
// destructor stops it.
// Blocking: Start; Stop and the destructor, as the stop of the spec says.
class TestServer {
 public:
  // Starts the server that `make_spec` describes for a free port, and waits
  // until it is ready. Where the server ends at once because the port is used
  // ("Address already in use"), tries again with another, 5 times in all.
  // Errors: as Process::Spawn and WaitUntilReady, with the last lines of both
  // streams; nothing is left then.
  static absl::StatusOr<std::unique_ptr<TestServer>> Start(
      const std::function<ServerSpec(int port)>& make_spec);

  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  // That make_spec was called with.
  int port() const { return port_; }
  // The line that showed that it is ready, for instance.
  const Readiness& readiness() const { return readiness_; }
  Process& process() { return *process_; }

  // All that the server has written, line by line as it came, with "stdout: "
  // or "stderr: " before each; of more than 64 KiB, the last. The lines of
  // process().out() are still there for the test to read.
  std::string Log() const;

  // Stops the server, once; again: returns the same. A server that has ended by
  // itself before has no Termination::ended_by_step.
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

// A test fixture with a server that runs while a test does.
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
// The test fails, and prints all that the server wrote, when
// - the server cannot be started, is not ready in time, or ends before: then
//   the body of the test does not run;
// - the server ends by itself before the test does, by a crash for instance;
// - it does not end when it is told to, and has to be killed, or processes that
//   it has started cannot be ended.
// What the server wrote is printed when the test fails by itself, too.
//
// With Bazel: @asyncproc//asyncproc/testing:server_fixture, and
// @asyncproc//asyncproc/testing:matchers for SaysLine and ExitsWith.
// tools/examples/http_server_test.cc is a whole test.
//
// A fixture with a SetUp or TearDown of its own calls those of this class, its
// SetUp first and its TearDown last.
class ServerFixture : public testing::Test {
 protected:
  // The server for one test. `port` is free; a server that uses none ignores
  // it. May be called several times: see TestServer::Start.
  virtual ServerSpec MakeServer(int port) = 0;

  void SetUp() override;
  void TearDown() override;

  // REQUIRES of these: a test, or the TearDown of a test that ran.
  int port() const { return server_->port(); }
  const Readiness& readiness() const { return server_->readiness(); }
  Process& server() { return server_->process(); }
  std::string ServerLog() const { return server_->Log(); }

  // For a test that is about the end of the server, or that ends the server
  // itself: stops the server now, and expects nothing of how it ends.
  absl::StatusOr<Termination> StopServer();

 private:
  std::unique_ptr<TestServer> server_;
  bool stopped_by_test_ = false;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTING_SERVER_FIXTURE_H_
