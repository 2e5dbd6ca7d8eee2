// Each system call in the life of a child fails in turn. The result is correct,
// or an error that gives the reason, and no resource leaks.

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
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

enum class Method {
  kPipe2,
  kSocketPair,
  kOpen,
  kEventFd,
  kDuplicate,
  kClone,
  kPidfdOpen,
  kPidfdSendSignal,
  kWaitid,
  kRead,
  kWrite,
  kPoll,
  kThreadCreate,
};

const char* Name(Method method) {
  static const char* const names[] = {
      "Pipe2",       "SocketPair", "Open",      "EventFd",
      "Duplicate",   "Clone",      "PidfdOpen", "PidfdSendSignal",
      "Waitid",      "Read",       "Write",     "Poll",
      "ThreadCreate"};
  return names[static_cast<int>(method)];
}

struct Fault {
  Method method;
  int error;
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  return out << Name(fault.method) << strerrorname_np(fault.error);
}

// Fails the n-th call of one method. `Base`: an Os with pidfds or without.
template <typename Base>
class FaultyOs : public Base {
 public:
  FaultyOs(Fault fault, int nth) : fault_(fault), left_(nth) {}
  bool injected() const { return left_ <= 0; }

  int Pipe2(int fds[2], int flags) override {
    return Fails(Method::kPipe2) ? -1 : Base::Pipe2(fds, flags);
  }
  int SocketPair(int fds[2]) override {
    return Fails(Method::kSocketPair) ? -1 : Base::SocketPair(fds);
  }
  int Open(const char* path, int flags, mode_t mode) override {
    return Fails(Method::kOpen) ? -1 : Base::Open(path, flags, mode);
  }
  int EventFd() override {
    return Fails(Method::kEventFd) ? -1 : Base::EventFd();
  }
  int Duplicate(int fd, int min) override {
    return Fails(Method::kDuplicate) ? -1 : Base::Duplicate(fd, min);
  }
  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    return Fails(Method::kClone)
               ? -1
               : Base::Clone(entry, stack_top, flags, arg, pidfd);
  }
  int PidfdOpen(pid_t pid) override {
    return Fails(Method::kPidfdOpen) ? -1 : Base::PidfdOpen(pid);
  }
  int PidfdSendSignal(int pidfd, int signal) override {
    return Fails(Method::kPidfdSendSignal)
               ? -1
               : Base::PidfdSendSignal(pidfd, signal);
  }
  int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
             rusage* usage) override {
    return Fails(Method::kWaitid)
               ? -1
               : Base::Waitid(type, id, info, options, usage);
  }
  ssize_t Read(int fd, void* data, size_t size) override {
    return Fails(Method::kRead) ? -1 : Base::Read(fd, data, size);
  }
  ssize_t Write(int fd, const void* data, size_t size) override {
    return Fails(Method::kWrite) ? -1 : Base::Write(fd, data, size);
  }
  ssize_t WriteQuietly(int fd, const void* data, size_t size) override {
    return Fails(Method::kWrite) ? -1 : Base::WriteQuietly(fd, data, size);
  }
  ssize_t Send(int fd, const void* data, size_t size) override {
    return Fails(Method::kWrite) ? -1 : Base::Send(fd, data, size);
  }
  int Poll(pollfd* fds, nfds_t count, absl::Time deadline) override {
    return Fails(Method::kPoll) ? -1 : Base::Poll(fds, count, deadline);
  }
  int ThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                   void* (*entry)(void*), void* arg) override {
    return Fails(Method::kThreadCreate)
               ? fault_.error
               : Base::ThreadCreate(thread, attributes, entry, arg);
  }

 private:
  bool Fails(Method method) {
    if (method != fault_.method || --left_ != 0) return false;
    errno = fault_.error;
    return true;
  }

  const Fault fault_;
  std::atomic<int> left_;
};

std::set<std::string> OpenDescriptors() {
  std::set<std::string> open;
  DIR* const dir = opendir("/proc/self/fd");
  while (const dirent* const entry = readdir(dir)) {
    char target[256] = {};
    const std::string link = absl::StrCat("/proc/self/fd/", entry->d_name);
    if (readlink(link.c_str(), target, sizeof(target) - 1) < 0) continue;
    if (absl::StartsWith(target, "/proc/")) continue;
    open.insert(absl::StrCat(entry->d_name, " -> ", target));
  }
  closedir(dir);
  return open;
}

size_t Threads() {
  size_t count = 0;
  DIR* const dir = opendir("/proc/self/task");
  while (const dirent* const entry = readdir(dir)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(dir);
  return count;
}

std::string SignalState() {
  std::string state;
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0) continue;
    absl::StrAppend(&state, sigismember(&mask, signal), "/",
                    reinterpret_cast<uintptr_t>(action.sa_handler), " ");
  }
  return state;
}

// The resources of the process that could leak.
struct Possessions {
  static Possessions Now() {
    return {OpenDescriptors(), Threads(), SignalState()};
  }

  std::set<std::string> descriptors;
  size_t threads;
  std::string signals;
};

void ExpectNothingLeft(const Possessions& before) {
  siginfo_t child = {};
  EXPECT_EQ(waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL), -1);
  // A joined thread is still listed for a moment.
  const absl::Time patience = MonotonicNow() + absl::Seconds(10);
  while (Threads() > before.threads && MonotonicNow() < patience) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(Threads(), before.threads);
  EXPECT_EQ(OpenDescriptors(), before.descriptors);
  EXPECT_EQ(SignalState(), before.signals);
}

void ExpectSpawnError(const absl::Status& status, const Fault& fault) {
  EXPECT_THAT(status.message(), HasSubstr("cannot start"));
  auto failure = GetSpawnFailure(status);
  ASSERT_TRUE(failure.has_value());
  EXPECT_NE(failure->stage, SpawnStage::kNone);
  EXPECT_EQ(failure->error_number, fault.error);
  EXPECT_THAT(status, HasCode(fault.error == EACCES
                                  ? absl::StatusCode::kPermissionDenied
                                  : absl::StatusCode::kResourceExhausted));
}

// A conversation. Each operation that fails returns a documented error code.
void TalkTo(const Command& command, const Fault& fault) {
  auto process = Process::Spawn(command);
  if (!process.ok()) {
    ExpectSpawnError(process.status(), fault);
    return;
  }
  const absl::Status written = (*process)->Write("hello\n");
  if (absl::IsResourceExhausted(written)) {
    // No writer thread: no input was queued, and the child is unaffected.
    EXPECT_TRUE(fault.method == Method::kEventFd ||
                fault.method == Method::kDuplicate ||
                fault.method == Method::kThreadCreate);
    EXPECT_THAT((*process)->CloseStdin(), IsOk());
    EXPECT_THAT((*process)->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    return;
  }
  const auto line = (*process)->out().ReadLine(kNeverReached);
  const absl::Status closed = (*process)->CloseStdin();
  const auto status = (*process)->WaitFor(kNeverReached);

  if (written.ok() && line.ok()) {
    EXPECT_EQ(*line, "hello");
    EXPECT_THAT(closed, IsOk());
    EXPECT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
    return;
  }
  // The failed pipe was abandoned, so the child could end.
  if (!written.ok()) {
    EXPECT_THAT(written, HasCode(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(fault.method, Method::kWrite);
    EXPECT_THAT(line, HasCode(absl::StatusCode::kOutOfRange));
  } else {
    EXPECT_EQ(fault.method, Method::kRead);
    EXPECT_THAT(line, HasCode(absl::StatusCode::kUnknown));  // From EIO.
  }
  ASSERT_THAT(status, IsOk());
  EXPECT_TRUE(status->ok() || *status == ExitStatus::Signaled(SIGPIPE))
      << *status;
}

void Talk(bool die_with_parent, const Fault& fault) {
  Command command({"cat"});
  command.err = Stdio::Null();
  command.die_with_parent = die_with_parent;
  TalkTo(command, fault);
}

void TalkOnSocket(bool die_with_parent, const Fault& fault) {
  Command command({"cat"});
  command.in = Stdio::Socket();
  command.out = Stdio::ToStdin();
  command.err = Stdio::Null();
  command.die_with_parent = die_with_parent;
  TalkTo(command, fault);
}

// The same on a terminal, or with a terminal for stdout only.
void TalkOnTerminal(Command command, const Fault& fault) {
  auto process = Process::Spawn(command);
  if (!process.ok()) {
    ExpectSpawnError(process.status(), fault);
    return;
  }
  absl::Status fed = (*process)->Write("hello\n");
  if (fed.ok()) fed = (*process)->CloseStdin();
  if (fed.ok()) fed = (*process)->Flush(kNeverReached);
  // If the input cannot be written, the end-of-file cannot be sent either.
  if (!fed.ok()) (*process)->Signal(SIGKILL).IgnoreError();
  const auto line = (*process)->out().ReadLine(kNeverReached);

  EXPECT_THAT((*process)->WaitFor(kNeverReached), IsOk());
  if (line.ok()) {
    EXPECT_EQ(*line, "hello");
    return;
  }
  EXPECT_THAT(line, HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_TRUE(fault.method == Method::kRead || !fed.ok());
}

void TalkOnPty(bool die_with_parent, const Fault& fault) {
  Command command({"cat"});
  command.pty.emplace();
  command.pty->echo = false;
  command.die_with_parent = die_with_parent;
  TalkOnTerminal(command, fault);
}

void TalkLineBuffered(bool die_with_parent, const Fault& fault) {
  Command command({"cat"});
  command.out = Stdio::LineBuffered();
  command.err = Stdio::Null();
  command.die_with_parent = die_with_parent;
  TalkOnTerminal(command, fault);
}

// Ends a child by SIGTERM, a tree by SIGKILL, and a child by the destructor.
void End(bool die_with_parent, const Fault& fault) {
  std::vector<std::unique_ptr<Process>> processes;
  for (int i = 0; i < 3; ++i) {
    Command command({"sleep", "1000"});
    command.in = Stdio::Null();
    command.process_group = ProcessGroup::New();
    command.die_with_parent = die_with_parent;
    auto process = Process::Spawn(command);
    if (!process.ok()) {
      ExpectSpawnError(process.status(), fault);
      return;
    }
    processes.push_back(*std::move(process));
  }
  EXPECT_THAT(processes[0]->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
  Escalation escalation = Escalation::Standard(absl::ZeroDuration());
  escalation.scope = TerminationScope::kTree;
  auto termination = processes[1]->Terminate(escalation);
  if (absl::IsResourceExhausted(termination.status())) {
    // The child has ended, but /proc could not be searched for other processes.
    EXPECT_TRUE(fault.method == Method::kOpen ||
                fault.method == Method::kDuplicate);
    EXPECT_THAT(processes[1]->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
    return;
  }
  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGKILL));
  EXPECT_THAT(termination->survivors, testing::IsEmpty());
}

using Scenario = void (*)(bool die_with_parent, const Fault& fault);

// Injects the fault into the first call, then into the second, and so on, until
// there is no such call. Returns the number of injections.
template <typename Base>
int InjectEach(const Fault& fault, Scenario scenario, bool die_with_parent) {
  const Possessions before = Possessions::Now();
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE(absl::StrCat("call ", nth, " of ", Name(fault.method),
                              " fails: ", strerrorname_np(fault.error)));
    FaultyOs<Base> os(fault, nth);
    {
      ScopedOs scoped_os(&os);
      scenario(die_with_parent, fault);
    }
    ExpectNothingLeft(before);
    if (testing::Test::HasFailure() || !os.injected()) return nth - 1;
  }
}

// Injects the fault in all scenarios. Returns the largest number of injections.
int InjectEverywhere(const Fault& fault) {
  int most = 0;
  for (Scenario scenario :
       {Talk, TalkOnSocket, TalkOnPty, TalkLineBuffered, End}) {
    for (bool die_with_parent : {false, true}) {
      most = std::max(
          {most, InjectEach<Os>(fault, scenario, die_with_parent),
           InjectEach<OsWithoutPidfds>(fault, scenario, die_with_parent)});
      if (testing::Test::HasFailure()) return most;
    }
  }
  return most;
}

class FaultInjectionTest : public testing::TestWithParam<Fault> {};

INSTANTIATE_TEST_SUITE_P(
    Each, FaultInjectionTest,
    testing::Values(
        Fault{Method::kPipe2, EMFILE}, Fault{Method::kSocketPair, EMFILE},
        Fault{Method::kOpen, EACCES}, Fault{Method::kOpen, EMFILE},
        Fault{Method::kOpen, ENOSPC}, Fault{Method::kEventFd, EMFILE},
        Fault{Method::kDuplicate, EMFILE}, Fault{Method::kClone, EAGAIN},
        Fault{Method::kClone, ENOMEM}, Fault{Method::kClone, EMFILE},
        Fault{Method::kPidfdOpen, ENOSYS}, Fault{Method::kPidfdOpen, EPERM},
        Fault{Method::kPidfdOpen, EMFILE},
        Fault{Method::kPidfdSendSignal, EPERM},
        Fault{Method::kPidfdSendSignal, ENOSYS},
        Fault{Method::kThreadCreate, EAGAIN}, Fault{Method::kRead, EIO},
        Fault{Method::kRead, EINTR}, Fault{Method::kRead, EAGAIN},
        Fault{Method::kWrite, EINTR}, Fault{Method::kWrite, EPIPE},
        Fault{Method::kWrite, EAGAIN}, Fault{Method::kWaitid, EINTR},
        Fault{Method::kPoll, EINTR}, Fault{Method::kPoll, ENOMEM}),
    [](const testing::TestParamInfo<Fault>& info) {
      return absl::StrCat(Name(info.param.method),
                          strerrorname_np(info.param.error));
    });

// RES-02, RES-03, SIG-07
TEST_P(FaultInjectionTest, IsSurvived) {
  EXPECT_GT(InjectEverywhere(GetParam()), 0) << "there is no such call";
}

// Descriptors are duplicated to avoid the numbers of closed standard streams.
TEST(FaultInjectionTest, IsSurvivedWithoutStandardStreams) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    close(STDIN_FILENO);
    EXPECT_GT(InjectEverywhere({Method::kDuplicate, EMFILE}), 0);
  });
}

}  // namespace
}  // namespace asyncproc
