// What many children cost their host: memory and idle CPU of each that lives,
// by ProcessPoller and by Process; how short commands compare with xargs; and
// whether ten times the children take ten times as long.
//
//   bazel run -c opt //tools/bench:scale
//
// A child that lives takes four or five descriptors: the limit is raised as far
// as it goes.

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"

ABSL_FLAG(int, children, 2000, "how many live at once");
ABSL_FLAG(int, commands, 10000, "how many short commands are run");
ABSL_FLAG(absl::Duration, idle, absl::Seconds(3),
          "for how long idle CPU is measured");
ABSL_FLAG(int, rounds, 3, "how often each rate is measured; the best counts");

namespace asyncproc {
namespace {

// Resident memory of this process in bytes, without what it shares.
int64_t Resident() {
  int64_t total, resident, shared;
  std::ifstream("/proc/self/statm") >> total >> resident >> shared;
  return (resident - shared) * sysconf(_SC_PAGESIZE);
}

absl::Duration CpuTime() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

// The figures of children that live.
struct Living {
  absl::Duration start;  // Until all were started.
  absl::Duration echo;   // Until each had echoed a line, in turn.
  int64_t bytes = 0;     // Of the host, per child.
  double idle_cpu = 0;   // Of one core, while they are silent.
};

class Echoers : public BufferingProcessPoller<int> {
 public:
  using BufferingProcessPoller<int>::BufferingProcessPoller;
  int lines = 0;

 private:
  absl::Status OnOutput(const int& key, ChildStream stream,
                        absl::string_view data) override {
    lines += data.back() == '\n';
    return BufferingProcessPoller<int>::OnOutput(key, stream, data);
  }
};

// Idle CPU of one core while `wait` waits.
template <typename Wait>
double IdleCpu(Wait wait) {
  const absl::Duration cpu = CpuTime();
  wait();
  return absl::FDivDuration(CpuTime() - cpu, absl::GetFlag(FLAGS_idle));
}

Living MeasurePoller(int children) {
  Living living;
  Echoers poller;
  const int64_t before = Resident();
  absl::Time start = absl::Now();
  for (int i = 0; i < children; ++i) {
    CHECK_OK(poller.Run(i, Command({"cat"}), ""));
  }
  living.start = absl::Now() - start;
  start = absl::Now();
  for (int i = 0; i < children; ++i) {
    CHECK_OK(poller.SendInput(i, "a line\n"));
    CHECK_OK(poller.PollUntil([&] { return poller.lines == i + 1; }));
  }
  living.echo = absl::Now() - start;
  living.bytes = (Resident() - before) / children;
  living.idle_cpu =
      IdleCpu([&] { poller.Poll(absl::GetFlag(FLAGS_idle)).IgnoreError(); });
  return living;
}

Living MeasureProcess(int children) {
  Living living;
  std::vector<std::unique_ptr<Process>> processes;
  const int64_t before = Resident();
  absl::Time start = absl::Now();
  for (int i = 0; i < children; ++i) {
    auto process = Process::Spawn(Command({"cat"}));
    CHECK_OK(process.status());
    processes.push_back(*std::move(process));
  }
  living.start = absl::Now() - start;
  start = absl::Now();
  for (const auto& process : processes) {
    CHECK_OK(process->Write("a line\n"));
    CHECK_OK(process->out().ReadLine(absl::Minutes(1)).status());
  }
  living.echo = absl::Now() - start;
  living.bytes = (Resident() - before) / children;
  living.idle_cpu = IdleCpu([] { absl::SleepFor(absl::GetFlag(FLAGS_idle)); });
  return living;
}

void Print(absl::string_view what, int children, const Living& living) {
  absl::PrintF(
      "%-13s %5d children: start %7.1f ms, echo %7.1f ms, %6.1f KiB each, idle "
      "CPU %.2f %%\n",
      what, children, absl::ToDoubleMilliseconds(living.start),
      absl::ToDoubleMilliseconds(living.echo),
      static_cast<double>(living.bytes) / 1024, living.idle_cpu * 100);
}

// In a process of its own: memory that another has given back to its allocator
// would be the next one's for nothing.
void MeasureAlone(absl::string_view what, Living (*measure)(int),
                  int children) {
  std::cout << std::flush;
  const pid_t pid = fork();
  CHECK_GE(pid, 0);
  if (pid == 0) {
    const Living living = measure(children);
    Print(what, children, living);
    std::cout << std::flush;
    fflush(stdout);
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

absl::Duration RunCommands(int commands, int at_once) {
  BufferingProcessPoller<int> poller(
      PollerOptions{static_cast<size_t>(at_once)});
  const absl::Time start = absl::Now();
  for (int i = 0; i < commands; ++i) {
    CHECK_OK(poller.Run(i, Command({"/bin/echo", absl::StrCat(i)})));
  }
  CHECK_OK(poller.Poll());
  const absl::Duration taken = absl::Now() - start;
  for (int i = 0; i < commands; ++i) {
    CHECK_EQ(poller.output(i).out, absl::StrCat(i, "\n"));
  }
  return taken;
}

absl::Duration RunXargs(int commands, int at_once) {
  Command command = Command::Shell(absl::StrCat(
      "seq ", commands, " | xargs -P ", at_once, " -n 1 /bin/echo >/dev/null"));
  const absl::Time start = absl::Now();
  auto process = Process::Spawn(command);
  CHECK_OK(process.status());
  CHECK((*process)->Wait()->ok());
  return absl::Now() - start;
}

void MeasureRate(int commands) {
  const int at_once = 2 * static_cast<int>(std::thread::hardware_concurrency());
  absl::Duration ours = absl::InfiniteDuration();
  absl::Duration theirs = absl::InfiniteDuration();
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    ours = std::min(ours, RunCommands(commands, at_once));
    theirs = std::min(theirs, RunXargs(commands, at_once));
  }
  absl::PrintF(
      "%d x /bin/echo, %d at once: ProcessPoller %.0f/s, output collected; "
      "xargs %.0f/s, output thrown away; ratio %.2f\n",
      commands, at_once, commands / absl::ToDoubleSeconds(ours),
      commands / absl::ToDoubleSeconds(theirs),
      absl::FDivDuration(theirs, ours));
  const absl::Duration tenth = RunCommands(commands / 10, at_once);
  absl::PrintF("%d commands take %.1f times as long as %d\n", commands,
               absl::FDivDuration(ours, tenth), commands / 10);
}

void RaiseDescriptorLimit() {
  rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace asyncproc

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  asyncproc::RaiseDescriptorLimit();
  const int children = absl::GetFlag(FLAGS_children);
  for (int count : {children / 10, children}) {
    asyncproc::MeasureAlone("ProcessPoller", asyncproc::MeasurePoller, count);
  }
  for (int count : {children / 10, children}) {
    asyncproc::MeasureAlone("Process", asyncproc::MeasureProcess, count);
  }
  asyncproc::MeasureRate(absl::GetFlag(FLAGS_commands));
}
