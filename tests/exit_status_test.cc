#include "asyncproc/exit_status.h"

#include <signal.h>

#include <sstream>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace asyncproc {
namespace {

TEST(ExitStatusTest, OfZeroIsOk) {
  const ExitStatus status = ExitStatus::Exited(0);

  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(status.exited());
  EXPECT_FALSE(status.signaled());
  EXPECT_EQ(status.exit_code(), 0);
}

TEST(ExitStatusTest, OfAnotherCodeIsNotOk) {
  const ExitStatus status = ExitStatus::Exited(3);

  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(status.exited());
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.ShellCode(), 3);
}

TEST(ExitStatusTest, OfASignalIsNotOk) {
  const ExitStatus status = ExitStatus::Signaled(SIGKILL);

  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(status.exited());
  EXPECT_TRUE(status.signaled());
  EXPECT_FALSE(status.core_dumped());
  EXPECT_EQ(status.term_signal(), SIGKILL);
  EXPECT_EQ(status.ShellCode(), 137);
}

// WST-02 WST-03
TEST(ExitStatusTest, TellsACodeFromASignal) {
  EXPECT_NE(ExitStatus::Exited(9), ExitStatus::Signaled(9));
  EXPECT_NE(ExitStatus::Exited(137), ExitStatus::Signaled(9));
  EXPECT_NE(ExitStatus::Exited(9), ExitStatus::Exited(137));
  EXPECT_NE(ExitStatus::Exited(0), ExitStatus::Signaled(SIGTERM));
}

TEST(ExitStatusTest, IsEqualWhateverWasUsed) {
  ExitStatus a = ExitStatus::Exited(1);
  const ExitStatus b = ExitStatus::Exited(1);
  ResourceUsage usage;
  usage.user_time = absl::Seconds(1);

  a.set_usage(usage);
  a.set_output_complete(false);

  EXPECT_EQ(a, b);
  EXPECT_EQ(a.usage().user_time, absl::Seconds(1));
  EXPECT_FALSE(a.output_complete());
  EXPECT_TRUE(b.output_complete());
}

TEST(ExitStatusTest, PrintsItself) {
  EXPECT_EQ(ExitStatus::Exited(3).ToString(), "exit status 3");
  EXPECT_EQ(ExitStatus::Signaled(SIGKILL).ToString(), "signal 9 (Killed)");
  EXPECT_EQ(ExitStatus::Signaled(SIGSEGV, true).ToString(),
            "signal 11 (Segmentation fault, core dumped)");
  std::ostringstream stream;
  stream << ExitStatus::Exited(255);
  EXPECT_EQ(stream.str(), "exit status 255");
}

TEST(ExitStatusDeathTest, HasNoCodeOfASignal) {
  EXPECT_DEATH(ExitStatus::Signaled(SIGTERM).exit_code(),
               "no exit code: signal 15");
}

TEST(ExitStatusDeathTest, HasNoSignalOfACode) {
  EXPECT_DEATH(ExitStatus::Exited(2).term_signal(), "no signal: exit status 2");
}

TEST(SignalDescriptionTest, KnowsRealTimeSignals) {
  EXPECT_EQ(SignalDescription(SIGRTMIN), "SIGRTMIN");
  EXPECT_EQ(SignalDescription(SIGRTMIN + 2), "SIGRTMIN+2");
}

TEST(SignalDescriptionTest, SaysWhatItDoesNotKnow) {
  EXPECT_EQ(SignalDescription(99), "unknown signal 99");
  EXPECT_EQ(SignalDescription(-1), "unknown signal -1");
}

}  // namespace
}  // namespace asyncproc
