// The memory of a host while a child writes 1 GB to a stream with a bound, and
// no caller reads: the stream keeps the last bytes and drops the others.

#include <fstream>
#include <string>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/command.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/process.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

constexpr int64_t kMiB = 1024 * 1024;
constexpr int64_t kBound = 8 * kMiB;
// The memory that the host may need beside the bound.
constexpr int64_t kRest = kMiB;

// Makes the present resident memory of this process its peak. Where the system
// refuses that, the earlier peak stays, which is as low in a process that has
// run no other benchmark.
void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// The peak of the resident memory of this process, in bytes.
int64_t Peak() {
  std::ifstream status("/proc/self/status");
  int64_t kib = 0;
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> kib;
  }
  CHECK_GT(kib, 0);
  return kib * 1024;
}

void LetPass(int64_t size) {
  Command command({Child("write_bytes"), absl::StrCat(size)});
  command.output_buffer = OutputBound::DropOldest(kBound);
  auto process = Process::Spawn(command);
  CHECK_OK(process.status());
  auto status = (*process)->Wait();
  CHECK(status.ok() && status->ok()) << status.status();
  CHECK_EQ((*process)->out().stats().bytes, static_cast<uint64_t>(size));
}

void BoundedMemory(benchmark::State& state) {
  // Brings the code into memory, so that the growth is of data alone.
  LetPass(1);
  int64_t growth = 0;
  for (auto _ : state) {
    ForgetPeak();
    const int64_t before = Peak();
    LetPass(Scaled(kPassed));
    growth = Peak() - before;
  }
  state.counters["growth_kib"] = static_cast<double>(growth) / 1024;
  state.counters["share_of_allowed"] =
      static_cast<double>(growth) / static_cast<double>(kBound + kRest);
}
ASYNCPROC_BENCHMARK(BoundedMemory, "bounded_memory/asyncproc")->Iterations(1);

}  // namespace
}  // namespace asyncproc::bench
