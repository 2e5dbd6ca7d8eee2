// How fast Run captures 1 GB, beside a bare loop that reads the same into a
// buffer it uses again: `bazel run -c opt //tools/bench:run_capture [rounds]`.
// Run is to be no slower than half of that.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"

namespace {

constexpr size_t kSize = size_t{1} << 30;

asyncproc::Command Source() {
  return {"head", "-c", absl::StrCat(kSize), "/dev/zero"};
}

// One pipe, one buffer, one read after another.
absl::Duration BareLoop() {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  fcntl(fds[0], F_SETPIPE_SZ, 1024 * 1024);
  asyncproc::Command command = Source();
  command.out = asyncproc::Stdio::Fd(fds[1]);
  const absl::Time start = absl::Now();
  auto process = asyncproc::Process::Spawn(command);
  CHECK_OK(process.status());
  close(fds[1]);
  std::vector<char> buffer(1024 * 1024);
  size_t size = 0;
  ssize_t count;
  while ((count = read(fds[0], buffer.data(), buffer.size())) > 0) {
    size += static_cast<size_t>(count);
  }
  const absl::Duration elapsed = absl::Now() - start;
  close(fds[0]);
  CHECK_EQ(size, kSize);
  return elapsed;
}

absl::Duration RunIt() {
  const absl::Time start = absl::Now();
  auto result = asyncproc::Run(Source());
  const absl::Duration elapsed = absl::Now() - start;
  CHECK_OK(result.status());
  CHECK_EQ(result->out.size(), kSize);
  return elapsed;
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 5;
  if (argc > 1) CHECK(absl::SimpleAtoi(argv[1], &rounds)) << argv[1];
  absl::Duration bare = absl::InfiniteDuration();
  absl::Duration run = absl::InfiniteDuration();
  for (int i = 0; i < rounds; ++i) {
    bare = std::min(bare, BareLoop());
    run = std::min(run, RunIt());
  }
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::printf("bare loop %.3f s, Run %.3f s: %.2f of its speed; %ld MiB\n",
              absl::ToDoubleSeconds(bare), absl::ToDoubleSeconds(run),
              absl::FDivDuration(bare, run), usage.ru_maxrss / 1024);
}
