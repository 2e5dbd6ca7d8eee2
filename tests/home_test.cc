// The HOME of its own that test_main.cc gives to every test.

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

TEST(HomeTest, IsNotTheUsers) {
  const passwd* const user = getpwuid(geteuid());
  const std::string users = user == nullptr ? "" : user->pw_dir;
  const std::string home = OutputOf(Command({"sh", "-c", "echo $HOME"}));

  EXPECT_EQ(home, absl::StrCat(getenv("HOME"), "\n"));
  EXPECT_NE(home, absl::StrCat(users, "\n"));
}

TEST(HomeTest, HasTheHistoryOfAShell) {
  Command bash({"bash", "--norc", "--noprofile", "-i"});
  bash.pty.emplace();
  auto process = MustSpawn(bash);
  ASSERT_THAT(process->Write("echo of a test\nexit\n"), IsOk());
  ASSERT_THAT(process->WaitFor(kNeverReached), IsOk());

  const std::string history = absl::StrCat(getenv("HOME"), "/.bash_history");
  EXPECT_TRUE(std::filesystem::exists(history));
  std::filesystem::remove(history);
}

}  // namespace
}  // namespace asyncproc
