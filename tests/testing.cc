#include "tests/testing.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "asyncproc/internal/proc/proc_fs.h"

namespace asyncproc {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
const int kSlowness = 5;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
const int kSlowness = 5;
#else
const int kSlowness = 1;
#endif
#else
const int kSlowness = 1;
#endif

std::string Helper(absl::string_view name) {
  // Bazel runs a test in the folder of its data.
  return absl::StrCat(std::filesystem::current_path().string(),
                      "/tests/helpers/", name);
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = absl::StrCat(testing::TempDir(), "/asyncproc-XXXXXX");
  CHECK(mkdtemp(path_.data()) != nullptr) << path_;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::filesystem::remove_all(path_);
}

std::string TemporaryDirectory::Write(absl::string_view name,
                                      absl::string_view content,
                                      int mode) const {
  const std::string path = absl::StrCat(path_, "/", name);
  std::ofstream(path, std::ios::binary) << content;
  CHECK_EQ(chmod(path.c_str(), static_cast<mode_t>(mode)), 0) << path;
  return path;
}

std::string TemporaryDirectory::Read(absl::string_view name) const {
  std::ifstream file(absl::StrCat(path_, "/", name), std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::unique_ptr<Process> MustSpawn(Command command) {
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Spawn(std::move(command));
  CHECK_OK(process.status());
  return *std::move(process);
}

std::string OutputOf(Command command) {
  const std::unique_ptr<Process> process = MustSpawn(std::move(command));
  if (process->command().in.kind() == Stdio::Kind::kPipe) {
    EXPECT_THAT(process->CloseStdin(), IsOk());
  }
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)))
      << process->ReadErr();
  return process->Read();
}

void AwaitLine(Process& process, absl::string_view line) {
  ASSERT_THAT(process.out().ReadLine(kNeverReached),
              IsOkAndHolds(testing::Eq(line)));
}

bool ProcessLives(pid_t pid) {
  const auto stat = internal::ReadProcessStat(pid);
  return stat.has_value() && !stat->HasEnded();
}

bool AwaitProcessEnd(pid_t pid, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (ProcessLives(pid)) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

void AwaitSleep(const std::atomic<pid_t>& thread) {
  for (;;) {
    const auto stat = internal::ReadProcessStat(thread);
    if (thread != 0 && stat.has_value() && stat->state == 'S') return;
    std::this_thread::yield();
  }
}

}  // namespace asyncproc
