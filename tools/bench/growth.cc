// The cost of one child for a host that has many idle children: the start, a
// line to the child and back, and the end.

#include <algorithm>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

// The number of measured children. It is fixed because google-benchmark starts
// the idle children again each time it tries another number.
constexpr int kTimes = 100;

// The measured child and the host get the descriptors of this many children.
constexpr size_t kSpare = 16;

// A Process takes three pids, with its threads. Other programs keep half of all
// pids.
int64_t MostChildren() {
  int64_t pids = 0;
  std::ifstream("/proc/sys/kernel/pid_max") >> pids;
  return pids / 2 / 3;
}

// Starts `wanted` children that wait for input; fewer where the system allows
// no more.
std::vector<std::unique_ptr<Process>> StartIdle(int64_t wanted) {
  RaiseDescriptorLimit();
  const auto most = static_cast<size_t>(std::min(wanted, MostChildren()));
  std::vector<std::unique_ptr<Process>> idle;
  while (idle.size() < most) {
    auto process = Process::Spawn({Child("read_all")});
    if (absl::IsResourceExhausted(process.status())) {
      idle.resize(idle.size() - std::min(idle.size(), kSpare));
      break;
    }
    CHECK_OK(process.status());
    idle.push_back(*std::move(process));
  }
  return idle;
}

void OneByProcess() {
  auto process = Process::Spawn({Child("echo")});
  CHECK_OK(process.status());
  CHECK_OK((*process)->Write(kLine));
  auto line = (*process)->out().ReadLine(absl::InfiniteDuration());
  CHECK(line.ok() && line->size() == kLine.size() - 1) << line.status();
  CHECK_OK((*process)->CloseStdin());
  auto status = (*process)->Wait();
  CHECK(status.ok() && status->ok()) << status.status();
}

void OneByHand() {
  BareChild child({Child("echo")});
  child.Write(kLine);
  child.ReadUntil(child.out(), "\n");
  child.CloseIn();
  child.Wait();
}

void Beside(benchmark::State& state, int64_t wanted, void (*one)()) {
  const int64_t scaled = Scaled(wanted);
  const auto idle = StartIdle(scaled);
  for (auto _ : state) one();
  state.counters["live"] = static_cast<double>(idle.size());
  state.counters["live_wanted"] = static_cast<double>(scaled);
}

template <int64_t kIdle>
void ByProcess(benchmark::State& state) {
  Beside(state, kIdle, OneByProcess);
}

void ByHand(benchmark::State& state) { Beside(state, 10, OneByHand); }

#define ASYNCPROC_GROWTH_BENCHMARK(function, name) \
  ASYNCPROC_BENCHMARK(function, name)->Iterations(kTimes)

ASYNCPROC_GROWTH_BENCHMARK(ByProcess<10>, "growth_10/asyncproc");
ASYNCPROC_GROWTH_BENCHMARK(ByHand, "growth_10/limit");
ASYNCPROC_GROWTH_BENCHMARK(ByProcess<1000>, "growth_1000/asyncproc");
ASYNCPROC_GROWTH_BENCHMARK(ByProcess<10>, "growth_1000/limit");
ASYNCPROC_GROWTH_BENCHMARK(ByProcess<10'000>, "growth_10000/asyncproc");
ASYNCPROC_GROWTH_BENCHMARK(ByProcess<10>, "growth_10000/limit");

}  // namespace
}  // namespace asyncproc::bench
