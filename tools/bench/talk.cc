// A line that an echoing child writes back. The limit writes and reads the same
// bytes, and blocks.

#include <string>

#include "absl/log/check.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

void RoundTripByProcess(benchmark::State& state) {
  auto process = Process::Spawn({Child("echo")});
  CHECK_OK(process.status());
  for (auto _ : state) {
    CHECK_OK((*process)->Write(kLine));
    auto line = (*process)->out().ReadLine(absl::InfiniteDuration());
    CHECK(line.ok() && line->size() == kLine.size() - 1) << line.status();
  }
}
ASYNCPROC_BENCHMARK(RoundTripByProcess, "round_trip/asyncproc");

void RoundTripByHand(benchmark::State& state) {
  BareChild child({Child("echo")});
  for (auto _ : state) {
    child.Write(kLine);
    child.ReadUntil(child.out(), "\n");
  }
}
ASYNCPROC_BENCHMARK(RoundTripByHand, "round_trip/limit");

// Bare system calls in the threads of a Process.
void RoundTripByTwoThreads(benchmark::State& state) {
  BareChild child({Child("echo")});
  {
    BareReader reader(child.out());
    for (auto _ : state) {
      child.Write(kLine);
      std::string line;
      CHECK(reader.Take(&line));
      CHECK_EQ(line.size(), kLine.size());
    }
    child.CloseIn();
  }
}
ASYNCPROC_BENCHMARK(RoundTripByTwoThreads, "round_trip/threads");

}  // namespace
}  // namespace asyncproc::bench
