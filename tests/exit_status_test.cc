#include "asyncproc/exit_status.h"

#include <signal.h>
#include <string.h>

#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
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
TEST(ExitStatusTest, DistinguishesACodeFromASignal) {
  EXPECT_NE(ExitStatus::Exited(9), ExitStatus::Signaled(9));
  EXPECT_NE(ExitStatus::Exited(137), ExitStatus::Signaled(9));
  EXPECT_NE(ExitStatus::Exited(9), ExitStatus::Exited(137));
  EXPECT_NE(ExitStatus::Exited(0), ExitStatus::Signaled(SIGTERM));
}

TEST(ExitStatusTest, IsEqualForDifferentUsage) {
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
  EXPECT_EQ(ExitStatus::Exited(3).ToString(), "exited with status 3");
  EXPECT_EQ(ExitStatus::Signaled(SIGKILL).ToString(), "killed by SIGKILL");
  EXPECT_EQ(ExitStatus::Signaled(SIGSEGV, true).ToString(),
            "killed by SIGSEGV, core dumped");
  std::ostringstream stream;
  stream << ExitStatus::Exited(255);
  EXPECT_EQ(stream.str(), "exited with status 255");
}

TEST(ExitStatusDeathTest, HasNoCodeOfASignal) {
  EXPECT_DEATH(ExitStatus::Signaled(SIGTERM).exit_code(),
               "no exit code: killed by SIGTERM");
}

TEST(ExitStatusDeathTest, HasNoSignalOfACode) {
  EXPECT_DEATH(ExitStatus::Exited(2).term_signal(),
               "no signal: exited with status 2");
}

TEST(SignalTest, HasTheNameAndTheWordsOfGlibc) {
  for (int signal = 1; signal < 32; ++signal) {
    const std::string name = absl::StrCat("SIG", sigabbrev_np(signal));
    const std::string words =
        absl::StrReplaceAll(sigdescr_np(signal), {{" (", ", "}, {")", ""}});

    EXPECT_EQ(SignalName(signal), name);
    EXPECT_TRUE(absl::EqualsIgnoreCase(SignalDescription(signal),
                                       absl::StrCat(name, " (", words, ")")))
        << SignalDescription(signal);
  }
}

TEST(SignalTest, IsDescribedInLowerCase) {
  EXPECT_EQ(SignalDescription(SIGTERM), "SIGTERM (terminated)");
  EXPECT_EQ(SignalDescription(SIGSTOP), "SIGSTOP (stopped, signal)");
  EXPECT_EQ(SignalDescription(SIGXCPU), "SIGXCPU (CPU time limit exceeded)");
}

TEST(SignalTest, OfRealTimeIsCountedFromTheFirst) {
  EXPECT_EQ(SignalDescription(SIGRTMIN), "SIGRTMIN");
  EXPECT_EQ(SignalDescription(SIGRTMIN + 3), "SIGRTMIN+3");
  EXPECT_EQ(SignalName(SIGRTMAX), "SIGRTMIN+30");
}

TEST(SignalTest, WithoutANameIsANumber) {
  for (const int signal : {-1, 0, SIGRTMIN - 1, SIGRTMAX + 1, 99}) {
    EXPECT_EQ(SignalName(signal), absl::StrCat("signal ", signal));
    EXPECT_EQ(SignalDescription(signal), absl::StrCat("signal ", signal));
  }
}

}  // namespace
}  // namespace asyncproc
