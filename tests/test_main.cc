// The main of every test. The programs that a test starts have a HOME of their
// own. After each test case, no descriptor, child or thread may remain.

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <thread>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

// ThreadSanitizer misses a happens-before edge inside absl::Mutex:
// https://github.com/google/sanitizers/issues/953.
extern "C" const char* __tsan_default_suppressions() {
  return "race:absl::*::synchronization_internal::Waiter::Post\n";
}

namespace {

std::set<int> Numbers(const char* directory) {
  std::set<int> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory), closedir);
  while (const dirent* const entry = readdir(dir.get())) {
    int number;
    if (absl::SimpleAtoi(entry->d_name, &number)) numbers.insert(number);
  }
  return numbers;
}

// "3 -> pipe:[123]", without the descriptor that lists them.
std::set<std::string> OpenDescriptors() {
  std::set<std::string> open;
  for (int fd : Numbers("/proc/self/fd")) {
    char target[256] = {};
    const std::string link = absl::StrCat("/proc/self/fd/", fd);
    if (readlink(link.c_str(), target, sizeof(target) - 1) < 0) continue;
    if (strncmp(target, "/proc/", 6) == 0) continue;
    open.insert(absl::StrCat(fd, " -> ", target));
  }
  return open;
}

class LeakListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    descriptors_ = OpenDescriptors();
    threads_ = Numbers("/proc/self/task").size();
  }

  void OnTestEnd(const testing::TestInfo& info) override {
    // A joined thread is still listed for a moment, and the threads of a
    // detached child close its pipes after its end.
    const absl::Time patience = absl::Now() + absl::Seconds(10);
    while (Numbers("/proc/self/task").size() > threads_ &&
           absl::Now() < patience) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_LE(Numbers("/proc/self/task").size(), threads_)
        << info.name() << " left threads behind";
    EXPECT_EQ(OpenDescriptors(), descriptors_)
        << info.name() << " left descriptors open, or closed others'";
    siginfo_t child = {};
    // Does not reap, so that a later check also finds the child.
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) {
      ADD_FAILURE() << info.name() << " left a child behind, "
                    << (child.si_pid != 0
                            ? absl::StrCat("a zombie: ", child.si_pid)
                            : "running");
    } else {
      EXPECT_EQ(errno, ECHILD);
    }
  }

  std::set<std::string> descriptors_;
  size_t threads_ = 0;
};

// A folder for the files that programs keep for their user, such as the history
// of a shell. The real user's files are not read or written.
class OwnHome {
 public:
  // REQUIRES: no other thread runs.
  OwnHome() {
    // A test that runs itself again uses the folder of its first process.
    const char* const home = getenv("HOME");
    const char* const own = getenv(kVariable);
    if (home != nullptr && own != nullptr && strcmp(home, own) == 0) return;
    path_ = absl::StrCat(testing::TempDir(), "/asyncproc-home-XXXXXX");
    CHECK(mkdtemp(path_.data()) != nullptr) << path_;
    setenv("HOME", path_.c_str(), 1);
    setenv(kVariable, path_.c_str(), 1);
    // Variables that name other files, or change the behavior of programs for
    // this user.
    for (const char* name :
         {"BASH_ENV", "ENV", "HISTFILE", "INPUTRC", "LESSHISTFILE",
          "MYSQL_HISTFILE", "NODE_REPL_HISTORY", "PSQL_HISTORY", "PSQLRC",
          "PYTHONSTARTUP", "PYTHONUNBUFFERED", "PYTHON_HISTORY",
          "SQLITE_HISTORY", "TMUX", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
          "XDG_DATA_HOME", "XDG_STATE_HOME"}) {
      unsetenv(name);
    }
  }
  ~OwnHome() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

 private:
  static constexpr char kVariable[] = "ASYNCPROC_TEST_HOME";

  std::string path_;  // Empty: another process's folder.
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const OwnHome home;
  // ThreadSanitizer starts a thread of its own with the first thread.
  std::thread([] {}).join();
  testing::UnitTest::GetInstance()->listeners().Append(new LeakListener);
  return RUN_ALL_TESTS();
}
