// The library when a resource runs out, and the few resources that it needs.

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "asyncproc/spawn_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fake_os.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::MonotonicNow;
using internal::Os;
using internal::ScopedOs;
using testing::HasSubstr;

void SetLimit(int resource, rlim_t limit) {
  const rlimit both = {limit, limit};
  ASSERT_EQ(setrlimit(static_cast<__rlimit_resource>(resource), &both), 0)
      << strerror(errno);
}

// RES-02
TEST(ResourcesTest, TheLimitOfProcessesIsReported) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    // Root has no such limit, and a sandbox may have no other user.
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) return;
    SetLimit(RLIMIT_NPROC, 0);

    auto process = Process::Spawn(Command({"cat"}));

    EXPECT_THAT(process, HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(process.status().message(), HasSubstr("cannot start cat"));
    auto failure = GetSpawnFailure(process.status());
    ASSERT_TRUE(failure.has_value());
    EXPECT_EQ(failure->error_number, EAGAIN);
  });
}

// Fails the start of the n-th thread.
class NoThreadOs : public OsWithoutPidfds {
 public:
  explicit NoThreadOs(int nth) : left_(nth) {}
  int ThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                   void* (*entry)(void*), void* arg) override {
    if (--left_ == 0) return EAGAIN;
    return Os::ThreadCreate(thread, attributes, entry, arg);
  }
  bool failed() const { return left_ <= 0; }

 private:
  int left_;
};

// RES-03: with die_with_parent and without pidfds a start needs three threads.
TEST(ResourcesTest, AMissingThreadIsReported) {
  for (int nth = 1; nth <= 4; ++nth) {
    NoThreadOs os(nth);
    ScopedOs scoped_os(&os);
    Command command({"sleep", "100"});
    command.die_with_parent = true;

    auto process = Process::Spawn(command);

    EXPECT_EQ(os.failed(), nth <= 3);
    if (!os.failed()) {
      EXPECT_THAT(process, IsOk());
      continue;
    }
    EXPECT_THAT(process, HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(process.status().message(), HasSubstr("cannot start sleep"));
    auto failure = GetSpawnFailure(process.status());
    ASSERT_TRUE(failure.has_value());
    EXPECT_EQ(failure->stage, SpawnStage::kThread);
    EXPECT_EQ(failure->error_number, EAGAIN);
  }
}

// RES-04
TEST(ResourcesTest, OutputThatThereIsNoMemoryForEndsTheStreamWithAnError) {
  if (kSlowness > 1) GTEST_SKIP() << "sanitizers need the memory";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    SetLimit(RLIMIT_AS, rlim_t{512} << 20);
    auto process = MustSpawn(Command({Helper("flood_forever")}));

    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(SIGPIPE)));
    EXPECT_THAT(process->out().ReadUntil("nothing of it", kNeverReached),
                HasCode(absl::StatusCode::kResourceExhausted));
  });
}

// RES-05
TEST(ResourcesTest, MoreThanAThousandDescriptorsAreNoMatter) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 2000; ++i) {
      ASSERT_GE(open("/dev/null", O_RDONLY | O_CLOEXEC), 0) << strerror(errno);
    }
    auto process = MustSpawn(Command({"cat"}));

    EXPECT_THAT(process->Write(std::string(1 << 20, 'x')), IsOk());
    EXPECT_THAT(process->CloseStdin(), IsOk());
    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_EQ(process->Read(), std::string(1 << 20, 'x'));
  });
}

// RES-06
TEST(ResourcesTest, SmallPipesCarryAsMuch) {
  Command command({"cat"});
  command.pipe_size = 4096;
  auto process = MustSpawn(command);
  std::string data;
  for (int i = 0; data.size() < 1'000'000; ++i) absl::StrAppend(&data, i, "\n");

  EXPECT_THAT(process->Write(data), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read(), data);
}

absl::Duration TimeToSpawn() {
  std::vector<absl::Duration> times;
  for (int i = 0; i < 51; ++i) {
    const absl::Time start = MonotonicNow();
    auto process = MustSpawn(Command({"true"}));
    times.push_back(MonotonicNow() - start);
    EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// RES-07
TEST(ResourcesTest, ALargeHostStartsChildrenAsFast) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    constexpr size_t kSize = size_t{512} << 20;
    void* const memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    madvise(memory, kSize, MADV_NOHUGEPAGE);
    const absl::Duration small = TimeToSpawn();
    for (size_t i = 0; i < kSize; i += 4096) static_cast<char*>(memory)[i] = 1;

    // Copying the tables of so many pages takes about 20 ms.
    EXPECT_LT(TimeToSpawn(), 3 * small + absl::Milliseconds(5) * kSlowness);
  });
}

// RES-08
TEST(ResourcesTest, AChildMayBeDeniedAnyDescriptor) {
  // The program has no shared libraries, which it could not open.
  if (access("/sbin/ldconfig", X_OK) != 0) GTEST_SKIP() << "no ldconfig";
  Command command({"/sbin/ldconfig", "--version"});
  command.rlimits[RLIMIT_NOFILE] = {0, 0};

  EXPECT_THAT(OutputOf(command), HasSubstr("ldconfig"));
}

TEST(ResourcesTest, ALimitThatCannotBeSetIsNamed) {
  Command command({"true"});
  command.rlimits[RLIMIT_STACK] = {8 << 20, RLIM_INFINITY};
  // Above the limit of the kernel, even for root.
  command.rlimits[RLIMIT_NOFILE] = {1 << 30, 1 << 30};

  auto process = Process::Spawn(command);

  EXPECT_THAT(process, HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(process.status().message(), HasSubstr("RLIMIT_NOFILE"));
}

// A host that lowers its limit to zero after opening all it needs.
TEST(ResourcesTest, AHostMayDenyItselfMoreDescriptors) {
  if (kSlowness > 1) GTEST_SKIP() << "sanitizers need descriptors";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto process = MustSpawn(Command({"cat"}));
    auto unwritten = MustSpawn(Command({"cat"}));
    // Starts the writer thread.
    EXPECT_THAT(process->Write("hi\n"), IsOk());
    AwaitLine(*process, "hi");
    SetLimit(RLIMIT_NOFILE, 0);

    EXPECT_THAT(Process::Spawn(Command({"cat"})),
                HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(unwritten->Write("hello\n"),
                HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(unwritten->Terminate(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_THAT(process->Write("hello\n"), IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("hello"));
    EXPECT_THAT(process->Terminate(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  });
}

}  // namespace
}  // namespace asyncproc
