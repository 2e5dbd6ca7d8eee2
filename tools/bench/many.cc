// Many children: the memory of a host with 2,000 live children, and its CPU
// time while they are silent; and the time of 10,000 short children whose
// output is collected. A live child takes six descriptors of the host.

#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

// For how long the silence is watched.
absl::Duration Idle() {
  return std::max(absl::Milliseconds(50), absl::Milliseconds(Scaled(1000)));
}

// The resident memory of this process in bytes, without shared pages.
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

// How often any thread of this process has gone to sleep.
int64_t Sleeps() {
  constexpr absl::string_view kField = "voluntary_ctxt_switches:";
  int64_t sum = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      int64_t count = 0;
      if (absl::StartsWith(line, kField) &&
          absl::SimpleAtoi(line.substr(kField.size()), &count)) {
        sum += count;
      }
    }
  }
  return sum;
}

// Times `start`, which starts and keeps `count` children; has each echo a line,
// by `echo`; then waits by `wait`, while nothing happens. Memory that an
// earlier benchmark of the same run has given back to its allocator makes this
// one's look less: run it alone.
template <typename Start, typename Echo, typename Wait>
void MeasureLiving(benchmark::State& state, int count, Start start, Echo echo,
                   Wait wait) {
  malloc_trim(0);
  const int64_t resident = Resident();
  const absl::Time begin = absl::Now();
  for (int i = 0; i < count; ++i) start(i);
  const absl::Time started = absl::Now();
  for (int i = 0; i < count; ++i) echo(i);
  const absl::Time echoed = absl::Now();
  state.SetIterationTime(absl::ToDoubleSeconds(started - begin));

  // Threads may still be on their way to sleep.
  absl::SleepFor(absl::Milliseconds(50));
  const int64_t sleeps = Sleeps();
  const absl::Duration cpu = CpuTime();
  wait();
  const absl::Duration used = CpuTime() - cpu;
  // This wait is one itself.
  const int64_t wake_ups = Sleeps() - sleeps - 1;
  const double seconds = absl::ToDoubleSeconds(Idle());
  state.counters["wakeups_per_second"] =
      static_cast<double>(wake_ups) / seconds;
  state.counters["idle_cpu_percent"] =
      absl::ToDoubleSeconds(used) / seconds * 100;
  state.counters["kib_per_child"] =
      static_cast<double>(Resident() - resident) / 1024 / count;
  state.counters["echo_us"] =
      absl::ToDoubleMicroseconds(echoed - started) / count;
}

void ByProcess(benchmark::State& state) {
  RaiseDescriptorLimit();
  const int count = static_cast<int>(Scaled(kLiving));
  for (auto _ : state) {
    std::vector<std::unique_ptr<Process>> processes;
    MeasureLiving(
        state, count,
        [&](int) {
          auto process = Process::Spawn({Child("echo")});
          CHECK_OK(process.status());
          processes.push_back(*std::move(process));
        },
        [&](int i) {
          Process& process = *processes[static_cast<size_t>(i)];
          CHECK_OK(process.Write("a line\n"));
          CHECK_OK(process.out().ReadLine(absl::Minutes(1)).status());
        },
        [] { absl::SleepFor(Idle()); });
  }
}
BENCHMARK(ByProcess)
    ->Name("live_process/asyncproc")
    ->UseManualTime()
    ->Iterations(1);

class Echoers : public BufferingProcessPoller<int> {
 public:
  int lines() const { return lines_; }

 private:
  absl::Status OnOutput(const int& key, ChildStream stream,
                        absl::string_view data) override {
    lines_ += data.back() == '\n';
    return BufferingProcessPoller<int>::OnOutput(key, stream, data);
  }

  int lines_ = 0;
};

void ByPoller(benchmark::State& state) {
  RaiseDescriptorLimit();
  const int count = static_cast<int>(Scaled(kLiving));
  for (auto _ : state) {
    Echoers poller;
    MeasureLiving(
        state, count,
        [&](int i) { CHECK_OK(poller.Run(i, {Child("echo")}, "")); },
        [&](int i) {
          CHECK_OK(poller.SendInput(i, "a line\n"));
          CHECK_OK(poller.PollUntil([&] { return poller.lines() == i + 1; }));
        },
        [&] { CHECK(absl::IsDeadlineExceeded(poller.Poll(Idle()))); });
  }
}
BENCHMARK(ByPoller)
    ->Name("live_poller/asyncproc")
    ->UseManualTime()
    ->Iterations(1);

int AtOnce() {
  return 2 * static_cast<int>(std::thread::hardware_concurrency());
}

void CommandsByPoller(benchmark::State& state) {
  const int commands = static_cast<int>(Scaled(kCommands));
  for (auto _ : state) {
    BufferingProcessPoller<int> poller(
        PollerOptions{static_cast<size_t>(AtOnce())});
    for (int i = 0; i < commands; ++i) {
      CHECK_OK(poller.Run(i, {Child("say"), absl::StrCat(i)}));
    }
    CHECK_OK(poller.Poll());
    for (int i = 0; i < commands; ++i) {
      CHECK_EQ(poller.output(i).out, absl::StrCat(i, "\n"));
    }
  }
  state.SetItemsProcessed(state.iterations() * commands);
}
ASYNCPROC_BENCHMARK(CommandsByPoller, "commands/asyncproc");

void CommandsByXargs(benchmark::State& state) {
  const int64_t commands = Scaled(kCommands);
  for (auto _ : state) {
    BareChild xargs({"sh", "-c",
                     absl::StrCat("seq ", commands, " | xargs -P ", AtOnce(),
                                  " -n 1 ", Child("say"), " >/dev/null")});
    xargs.Wait();
  }
  state.SetItemsProcessed(state.iterations() * commands);
}
ASYNCPROC_BENCHMARK(CommandsByXargs, "commands/limit");

}  // namespace
}  // namespace asyncproc::bench
