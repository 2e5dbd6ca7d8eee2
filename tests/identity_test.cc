// The identity and the rights of the child: ids, umask, niceness, limits,
// session, group, and whether it outlives the host.

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process.h"
#include "asyncproc/spawn_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forked_host.h"
#include "tests/own_host.h"
#include "tests/refused_calls.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;

// The usual id of the user "nobody".
constexpr uid_t kNobody = 65534;

// A user namespace, such as that of a sandbox, may have only root.
bool NobodyExists() {
  std::ifstream map("/proc/self/uid_map");
  for (uint64_t first, outside, count; map >> first >> outside >> count;) {
    if (first <= kNobody && kNobody - first < count) return true;
  }
  return false;
}

#define SKIP_UNLESS_ROOT()                                      \
  if (geteuid() != 0 || !NobodyExists()) {                      \
    GTEST_SKIP() << "only root may give a child other ids, and" \
                    " in a sandbox there are none";             \
  }

// For operations that an unprivileged host is refused: root must be able to
// become unprivileged.
#define SKIP_IF_PRIVILEGED_FOR_EVER()                        \
  if (geteuid() == 0 && !NobodyExists()) {                   \
    GTEST_SKIP() << "root cannot give up what it may, here"; \
  }

// Drops the privileges of the host. Does nothing if the host has none.
void GiveUpPrivileges() {
  if (geteuid() != 0) return;
  if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
      setresuid(kNobody, kNobody, kNobody) != 0) {
    abort();
  }
}

// The error of a failed start, such as "setuid 1".
std::string FailureOf(const Command& command) {
  const auto process = Process::Spawn(command);
  if (process.ok()) return "started";
  const SpawnFailure failure =
      GetSpawnFailure(process.status()).value_or(SpawnFailure());
  return absl::StrCat(SpawnStageName(failure.stage), " ", failure.error_number);
}

std::string FailureWithoutPrivileges(const Command& command) {
  return InForkedHost([&] {
    GiveUpPrivileges();
    return FailureOf(command);
  });
}

Command PrintIds() { return Command::Shell("echo $(id -u) $(id -g) $(id -G)"); }

// The ids of each thread of this process. All threads have the same ids if the
// set has one element.
std::set<std::string> IdsOfThreads() {
  std::set<std::string> ids;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    std::string line, found;
    while (std::getline(status, line)) {
      for (const char* name : {"Uid:", "Gid:", "Groups:"}) {
        if (absl::StartsWith(line, name)) absl::StrAppend(&found, line, "\n");
      }
    }
    // A joined thread may be listed for a moment.
    if (!found.empty()) ids.insert(found);
  }
  return ids;
}

struct CapabilityHeader {
  uint32_t version = 0x20080522;
  int pid = 0;
};
struct CapabilitySets {
  uint32_t effective, permitted, inheritable;
};
constexpr uint32_t kMayChangeIds = 1u << 6 | 1u << 7;  // CAP_SETGID, SETUID.

// Makes the host an unprivileged process that may change its ids, as a service
// with AmbientCapabilities.
std::string KeepCapabilities() {
  CapabilityHeader header;
  const CapabilitySets sets[2] = {{kMayChangeIds, kMayChangeIds, kMayChangeIds},
                                  {0, 0, 0}};
  if (prctl(PR_SET_KEEPCAPS, 1) != 0 ||
      setresgid(kNobody, kNobody, kNobody) != 0 ||
      setresuid(kNobody, kNobody, kNobody) != 0 ||
      syscall(SYS_capset, &header, sets) != 0 ||
      prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 6, 0, 0) != 0 ||
      prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 7, 0, 0) != 0) {
    return strerror(errno);
  }
  return "";
}

// The capability sets of a child of `user`.
std::string CapabilitiesOf(uid_t user) {
  Command command({"grep", "Cap[IPEA]", "/proc/self/status"});
  command.user = user;
  command.group = user;
  auto process = Process::Spawn(command);
  if (!process.ok()) return process.status().ToString();
  if (!(*process)->WaitFor(kNeverReached).ok()) return "did not end";
  std::string seen = (*process)->Read();
  seen.erase(std::remove(seen.begin(), seen.end(), '\t'), seen.end());
  return seen;
}

TEST(UserTest, HasNoneOfTheHostsCapabilities) {
  SKIP_UNLESS_ROOT();
  const std::string seen = InForkedHost([] {
    std::string failed = KeepCapabilities();
    return failed.empty() ? CapabilitiesOf(1234) : failed;
  });

  EXPECT_EQ(seen,
            "CapInh:0000000000000000\nCapPrm:0000000000000000\n"
            "CapEff:0000000000000000\nCapAmb:0000000000000000\n");
}

// A filter may refuse capset.
TEST(UserTest, HasNoneOfTheHostsAmbientCapabilitiesWithoutCapset) {
  SKIP_UNLESS_ROOT();
  const std::string seen = InForkedHost([] {
    std::string failed = KeepCapabilities();
    Refuse({SYS_capset, EPERM});
    return failed.empty() ? CapabilitiesOf(1234) : failed;
  });

  EXPECT_THAT(seen, HasSubstr("CapPrm:0000000000000000\n"));
  EXPECT_THAT(seen, HasSubstr("CapAmb:0000000000000000\n"));
}

TEST(UserTest, IsNotStartedWhereTheHostsCapabilitiesCannotBeDropped) {
  SKIP_UNLESS_ROOT();
  const std::string seen = InForkedHost([] {
    std::string failed = KeepCapabilities();
    if (!failed.empty()) return failed;
    Refuse({SYS_capset, EPERM});
    Refuse({SYS_prctl, EPERM, 0, PR_CAP_AMBIENT});
    Command command({"true"});
    command.user = 1234;
    command.group = 1234;
    return FailureOf(command);
  });

  EXPECT_EQ(seen, absl::StrCat("setuid ", EPERM));
}

TEST(UserTest, KeepsNoCapabilityOfARootThatHasSetSecurebits) {
  SKIP_UNLESS_ROOT();
  const std::string seen = InForkedHost([]() -> std::string {
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) {
      return strerror(errno);
    }
    return CapabilitiesOf(1234);
  });

  EXPECT_THAT(seen, HasSubstr("CapPrm:0000000000000000\n"));
  EXPECT_THAT(seen, HasSubstr("CapEff:0000000000000000\n"));
}

// SEC-01
TEST(UserTest, IsTheChildsAndNotTheHosts) {
  SKIP_UNLESS_ROOT();
  const std::set<std::string> before = IdsOfThreads();
  Command command = PrintIds();
  command.user = kNobody;
  command.group = kNobody;
  command.supplementary_groups.emplace();

  EXPECT_EQ(OutputOf(command), "65534 65534 65534\n");

  EXPECT_EQ(IdsOfThreads(), before);
}

// SEC-01
TEST(UserTest, MayBeInOtherGroups) {
  SKIP_UNLESS_ROOT();
  Command command = PrintIds();
  command.user = kNobody;
  command.group = 1234;
  command.supplementary_groups = {7, 8};

  EXPECT_EQ(OutputOf(command), "65534 1234 1234 7 8\n");
}

// SEC-02
TEST(UserTest, KeepsNothingOfTheHostsGroups) {
  SKIP_UNLESS_ROOT();
  const passwd* const nobody = getpwuid(kNobody);
  if (nobody == nullptr) GTEST_SKIP() << "nobody is not 65534 here";
  const gid_t group = nobody->pw_gid;

  const std::string seen = InForkedHost([] {
    const gid_t groups[] = {0, 1, 2};
    if (setgroups(3, groups) != 0) abort();
    Command command = PrintIds();
    command.user = kNobody;
    return OutputOf(command);
  });

  EXPECT_EQ(seen, absl::StrCat(kNobody, " ", group, " ", group, "\n"));
}

// SEC-02
TEST(UserTest, IsRefusedWithoutAGroupForAnUnknownUser) {
  Command command({"true"});
  command.user = 123456789;

  const auto process = Process::Spawn(command);

  EXPECT_THAT(process, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(process.status().message()),
              HasSubstr("123456789 is not in the password database"));
}

// SEC-02: with the right to change the user only, the groups cannot be dropped,
// so the start fails.
TEST(UserTest, DoesNotStartWithTheHostsGroups) {
  SKIP_UNLESS_ROOT();
  const std::string seen = InForkedHost([] {
    const gid_t groups[] = {0, 1, 2};
    if (setgroups(3, groups) != 0 || setresgid(100, 100, 100) != 0 ||
        prctl(PR_SET_KEEPCAPS, 1) != 0 || setresuid(200, 200, 200) != 0) {
      abort();
    }
    Command command({"true"});
    command.user = kNobody;
    command.group = 100;
    return FailureOf(command);
  });

  EXPECT_EQ(seen, absl::StrCat("setgroups ", EPERM));
}

// SEC-03
TEST(UserTest, IsRefusedWithoutPrivileges) {
  SKIP_IF_PRIVILEGED_FOR_EVER();
  Command command({"true"});
  command.user = 0;
  EXPECT_EQ(FailureWithoutPrivileges(command), absl::StrCat("setgid ", EPERM));

  command.user.reset();
  command.group = 0;
  EXPECT_EQ(FailureWithoutPrivileges(command), absl::StrCat("setgid ", EPERM));

  command.group.reset();
  command.supplementary_groups = {0};
  EXPECT_EQ(FailureWithoutPrivileges(command),
            absl::StrCat("setgroups ", EPERM));
}

// The groups have been set: a sandbox may refuse only one of the two calls.
TEST(UserTest, IsNamedWhenItAloneIsRefused) {
  SKIP_UNLESS_ROOT();
  EXPECT_HOLDS_IN_OWN_HOST([] {
    Command command({"true"});
    command.user = kNobody;
    Refuse({SYS_setresuid, EPERM});

    auto process = Process::Spawn(command);

    ASSERT_THAT(process, HasCode(absl::StatusCode::kPermissionDenied));
    EXPECT_THAT(std::string(process.status().message()),
                HasSubstr(absl::StrCat(kNobody)));
    const auto failure = GetSpawnFailure(process.status());
    ASSERT_TRUE(failure.has_value());
    EXPECT_EQ(failure->stage, SpawnStage::kUser);
  });
}

// SEC-03
TEST(UserTest, IsReportedAsNotPermitted) {
  SKIP_IF_PRIVILEGED_FOR_EVER();
  const std::string seen = InForkedHost([] {
    GiveUpPrivileges();
    Command command({"true"});
    command.user = 0;
    command.group = getgid();
    command.supplementary_groups.reset();
    return Process::Spawn(command).status().ToString();
  });

  EXPECT_THAT(seen,
              testing::StartsWith("PERMISSION_DENIED: cannot start true"));
}

TEST(UserTest, MayBeTheUserOfTheHost) {
  SKIP_IF_PRIVILEGED_FOR_EVER();
  const std::string seen = InForkedHost([] {
    GiveUpPrivileges();
    Command command = Command::Shell("id -u");
    command.user = getuid();
    command.group = getgid();
    return OutputOf(command);
  });

  EXPECT_EQ(seen, absl::StrCat(geteuid() == 0 ? kNobody : geteuid(), "\n"));
}

// SEC-10: a change of identity makes the memory undumpable that the child
// shares with the host until exec.
TEST(UserTest, LeavesTheHostAsItWas) {
  SKIP_UNLESS_ROOT();
  ASSERT_EQ(prctl(PR_GET_DUMPABLE), 1);
  const std::set<std::string> before = IdsOfThreads();
  Command command({"true"});
  command.user = kNobody;
  command.group = kNobody;
  Command failing({"/no/such/file"});
  failing.user = kNobody;
  failing.group = kNobody;

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 25; ++round) {
        EXPECT_EQ(OutputOf(command), "");
        EXPECT_THAT(Process::Spawn(failing),
                    HasCode(absl::StatusCode::kNotFound));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
  EXPECT_EQ(IdsOfThreads(), before);
}

TEST(UserTest, DoesNotMakeAHostDumpableThatWasNot) {
  SKIP_UNLESS_ROOT();
  const std::string seen = InForkedHost([] {
    prctl(PR_SET_DUMPABLE, 0);
    Command command({"true"});
    command.user = kNobody;
    command.group = kNobody;
    return absl::StrCat(OutputOf(command), prctl(PR_GET_DUMPABLE));
  });

  EXPECT_EQ(seen, "0");
}

TEST(DirectoryTest, IsEnteredWithTheRightsOfTheChild) {
  SKIP_UNLESS_ROOT();
  TemporaryDirectory directory;
  ASSERT_EQ(chmod(directory.path().c_str(), 0700), 0);
  Command command({"true"});
  command.working_directory = directory.path();
  command.user = kNobody;
  command.group = kNobody;

  EXPECT_EQ(FailureOf(command), absl::StrCat("chdir ", EACCES));
}

TEST(UmaskTest, IsTheChildsAlone) {
  const mode_t before = umask(022);
  Command command = Command::Shell("umask");
  command.umask = 027;

  EXPECT_EQ(OutputOf(command), "0027\n");

  EXPECT_EQ(umask(before), 022);
}

TEST(NiceTest, IsTheChildsAlone) {
  const int before = getpriority(PRIO_PROCESS, 0);
  Command command({"nice"});
  command.nice = 15;

  EXPECT_EQ(OutputOf(command), "15\n");

  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), before);
}

TEST(NiceTest, IsNotLoweredWithoutPrivileges) {
  SKIP_IF_PRIVILEGED_FOR_EVER();
  Command command({"true"});
  command.nice = -20;

  EXPECT_EQ(FailureWithoutPrivileges(command), absl::StrCat("nice ", EACCES));
}

TEST(RlimitTest, IsTheChildsAlone) {
  rlimit before, after;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  Command command = Command::Shell("ulimit -Sn; ulimit -Hn; ulimit -c");
  command.rlimits[RLIMIT_NOFILE] = {50, 60};
  command.rlimits[RLIMIT_CORE] = {0, 0};

  EXPECT_EQ(OutputOf(command), "50\n60\n0\n");

  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_cur);
  EXPECT_EQ(after.rlim_max, before.rlim_max);
}

TEST(RlimitTest, IsNotRaisedWithoutPrivileges) {
  SKIP_IF_PRIVILEGED_FOR_EVER();
  Command command({"true"});
  command.rlimits[RLIMIT_NOFILE] = {RLIM_INFINITY, RLIM_INFINITY};

  EXPECT_EQ(FailureWithoutPrivileges(command),
            absl::StrCat("setrlimit ", EPERM));
}

// TRM-12
TEST(ProcessGroupTest, IsThereWhenTheStartReturns) {
  for (int i = 0; i < 20; ++i) {
    Command command({"sleep", "1000"});
    command.process_group = ProcessGroup::New();

    auto process = MustSpawn(command);

    EXPECT_EQ(getpgid(process->pid()), process->pid());
    EXPECT_EQ(getsid(process->pid()), getsid(0));
  }
}

TEST(ProcessGroupTest, IsTheHostsByDefault) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  EXPECT_EQ(getpgid(process->pid()), getpgrp());
}

TEST(ProcessGroupTest, CanBeJoined) {
  Command command({"sleep", "1000"});
  command.process_group = ProcessGroup::New();
  auto leader = MustSpawn(command);

  command.process_group = ProcessGroup::Join(leader->pid());
  auto member = MustSpawn(command);

  EXPECT_EQ(getpgid(member->pid()), leader->pid());
}

TEST(ProcessGroupTest, IsNamedWhenItIsNone) {
  Command command({"true"});
  command.process_group = ProcessGroup::Join(999'999'999);

  const auto process = Process::Spawn(command);

  EXPECT_THAT(process, HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(std::string(process.status().message()),
              HasSubstr("setpgid to 999999999"));
}

// SEC-08
TEST(SessionTest, HasNoTerminal) {
  const std::string seen = InForkedHost([]() -> std::string {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (grantpt(master) != 0 || unlockpt(master) != 0) return "no terminal";
    setsid();
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (ioctl(slave, TIOCSCTTY, 0) != 0) return "not the terminal";
    Command command = Command::Shell("echo x > /dev/tty");
    auto inside = MustSpawn(command);
    command.new_session = true;
    auto outside = MustSpawn(command);
    std::string seen = inside->Wait()->ToString();
    absl::StrAppend(&seen, ", then ", outside->Wait()->ToString());
    seen += outside->ReadErr();
    return seen;
  });

  EXPECT_THAT(seen, testing::StartsWith(
                        "exited with status 0, then exited with status 2"));
  EXPECT_THAT(seen, HasSubstr("/dev/tty: No such device or address"));
}

// SEC-08
TEST(SessionTest, IsThereWhenTheStartReturns) {
  Command command({"sleep", "1000"});
  command.new_session = true;
  command.process_group = ProcessGroup::New();

  auto process = MustSpawn(command);

  EXPECT_EQ(getsid(process->pid()), process->pid());
  EXPECT_EQ(getpgid(process->pid()), process->pid());
}

// SIG-09
TEST(DieWithParentTest, OutlivesTheThreadThatStartedIt) {
  Command command({"cat"});
  command.die_with_parent = true;
  std::unique_ptr<Process> process;

  std::thread([&] { process = MustSpawn(command); }).join();

  EXPECT_THAT(process->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(process->Write("alive\n"), IsOk());
  AwaitLine(*process, "alive");
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

// Starts `command` in a host that ends without running destructors. Returns the
// pid of the child.
pid_t LeftBehind(const Command& command) {
  return std::stoi(InForkedHost(
      [&] { return std::to_string(MustSpawn(command).release()->pid()); }));
}

// SIG-09
TEST(DieWithParentTest, EndsWithTheHost) {
  Command command({"sleep", "1000"});
  const pid_t left = LeftBehind(command);
  command.die_with_parent = true;

  const pid_t ended = LeftBehind(command);

  EXPECT_TRUE(AwaitProcessEnd(ended));
  EXPECT_TRUE(ProcessLives(left));
  kill(left, SIGKILL);
}

// SIG-09: on a change of identity, the kernel drops the parent-death signal.
TEST(DieWithParentTest, EndsWithTheHostAlsoAsAnotherUser) {
  SKIP_UNLESS_ROOT();
  Command command({"sleep", "1000"});
  command.die_with_parent = true;
  command.user = kNobody;
  command.group = kNobody;

  EXPECT_TRUE(AwaitProcessEnd(LeftBehind(command)));
}

TEST(DieWithParentTest, ReportsAFailureAsAnyOther) {
  Command command({"/no/such/file"});
  command.die_with_parent = true;

  EXPECT_EQ(FailureOf(command), absl::StrCat("exec ", ENOENT));
}

}  // namespace
}  // namespace asyncproc
