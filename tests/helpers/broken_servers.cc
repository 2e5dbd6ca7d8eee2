// broken_servers --gtest_filter=SUITE.TEST: tests with servers that misbehave,
// and tests that fail. server_fixture_test runs one test at a time, and checks
// its report.

#include <signal.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/readiness.h"
#include "asyncproc/termination.h"
#include "asyncproc/testing/matchers.h"
#include "asyncproc/testing/server_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace asyncproc {
namespace {

// Runs the shell script `script`, which is ready when it writes "ready".
class ScriptTest : public ServerFixture {
 protected:
  explicit ScriptTest(std::string script) : script_(std::move(script)) {}
  ServerSpec MakeServer(int) override {
    ServerSpec spec = {Command::Shell(script_), ReadyCondition::Line("^ready")};
    spec.stop.steps = {EscalationStep::Signal(SIGTERM, absl::Milliseconds(100)),
                       EscalationStep::Signal(SIGKILL, absl::Seconds(30))};
    return spec;
  }

 private:
  const std::string script_;
};

struct GoodServer : ScriptTest {
  GoodServer() : ScriptTest("echo about us >&2; echo ready; exec cat") {}
};
TEST_F(GoodServer, Passes) {}
TEST_F(GoodServer, Fails) { EXPECT_EQ(1 + 1, 3); }
TEST_F(GoodServer, IsKilledByTheTest) {
  EXPECT_TRUE(server().Signal(SIGKILL).ok());
  EXPECT_THAT(server(), IsKilledBy(SIGKILL));
  EXPECT_TRUE(StopServer().ok());
}

struct NeverReady : ScriptTest {
  NeverReady() : ScriptTest("echo cannot open the database >&2; exit 7") {}
};
TEST_F(NeverReady, Fails) { ADD_FAILURE() << "the body ran"; }

struct Crashing : ScriptTest {
  Crashing() : ScriptTest("echo ready; read line; kill -SEGV $$") {}
};
TEST_F(Crashing, Fails) {
  ASSERT_TRUE(server().Write("now\n").ok());
  ASSERT_TRUE(server().WaitFor(absl::Minutes(1)).ok());
}

struct Stubborn : ScriptTest {
  Stubborn()
      : ScriptTest("trap '' TERM; echo ready; while :; do sleep 1; done") {}
};
TEST_F(Stubborn, Fails) {}

// ---- Matchers that do not match.

std::unique_ptr<Process> MustSpawn(const std::string& script) {
  return *Process::Spawn(Command::Shell(script));
}

TEST(Matchers, EndDiffers) {
  EXPECT_THAT(MustSpawn("echo a clue; exit 4"), ExitsWith(3));
}
TEST(Matchers, EndIsASignal) {
  EXPECT_THAT(MustSpawn("kill -KILL $$"), ExitsWith(testing::Lt(9)));
}
TEST(Matchers, StillRuns) {
  EXPECT_THAT(MustSpawn("exec sleep 1000"),
              ExitsWith(0, absl::Milliseconds(500)));
}
TEST(Matchers, LineDiffers) {
  EXPECT_THAT(MustSpawn("echo one; echo two >&2"), SaysLine("three"));
}
TEST(Matchers, NoLineInTime) {
  EXPECT_THAT(MustSpawn("echo one; exec sleep 1000"),
              SaysLine("three", absl::Milliseconds(500)));
}
TEST(Matchers, NoChild) {
  EXPECT_THAT(Process::Spawn(Command({"/no/such/program"})), ExitsWith(0));
}

}  // namespace
}  // namespace asyncproc
