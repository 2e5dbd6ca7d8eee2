// A line that an echoing child writes back. The limit writes and reads the same
// bytes, and blocks.

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

}  // namespace
}  // namespace asyncproc::bench
