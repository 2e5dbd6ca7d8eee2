// A marker behind 50 MB of lines. The limit searches the same bytes by memmem
// as they arrive in one growing buffer.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/expect.h"
#include "asyncproc/process.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

std::vector<std::string> Source(int64_t lines) {
  return {Child("write_lines"), absl::StrCat(lines), std::string(kMarker)};
}

void Search(benchmark::State& state, const Pattern& pattern) {
  const int64_t lines = Scaled(kSearchedLines);
  for (auto _ : state) {
    auto process = Process::Spawn(Command(Source(lines)));
    CHECK_OK(process.status());
    Expect expect(process->get());
    auto found = expect.Await(pattern, absl::Minutes(1));
    CHECK_OK(found.status());
    CHECK_EQ(found->before.size(), static_cast<size_t>(lines * 80));
    auto status = (*process)->Wait();
    CHECK(status.ok() && status->ok()) << status.status();
  }
  state.SetBytesProcessed(state.iterations() * lines * 80);
}

void ByExpect(benchmark::State& state) {
  Search(state, Pattern::Literal(std::string(kMarker)));
}
ASYNCPROC_BENCHMARK(ByExpect, "expect/asyncproc");

void ByExpectOfRegex(benchmark::State& state) {
  Search(state, Pattern::Regex("MARKER ([0-9]+)\n"));
}
ASYNCPROC_BENCHMARK(ByExpectOfRegex, "expect_regex/asyncproc");

void ByMemmem(benchmark::State& state) {
  const int64_t lines = Scaled(kSearchedLines);
  for (auto _ : state) {
    BareChild child(Source(lines), kBarePipeSize);
    char* data = nullptr;
    size_t capacity = 0;
    size_t size = 0;
    const void* found = nullptr;
    while (found == nullptr) {
      if (capacity - size < kBarePipeSize) {
        capacity = 2 * capacity + kBarePipeSize;
        data = static_cast<char*>(realloc(data, capacity));
        CHECK(data != nullptr);
      }
      const ssize_t count = read(child.out(), data + size, capacity - size);
      PCHECK(count > 0);
      const size_t from = size < kMarker.size() ? 0 : size - kMarker.size() + 1;
      size += static_cast<size_t>(count);
      found = memmem(data + from, size - from, kMarker.data(), kMarker.size());
    }
    // Handed over, as Expect does.
    std::string before(
        data, static_cast<size_t>(static_cast<const char*>(found) - data));
    CHECK_EQ(before.size(), static_cast<size_t>(lines * 80));
    free(data);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * lines * 80);
}
ASYNCPROC_BENCHMARK(ByMemmem, "expect/limit");
ASYNCPROC_BENCHMARK(ByMemmem, "expect_regex/limit");

}  // namespace
}  // namespace asyncproc::bench
