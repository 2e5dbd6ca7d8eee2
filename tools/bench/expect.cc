// A marker behind 50 MB. The limit searches the same bytes by memmem
// as they arrive in one growing buffer.

#include "asyncproc/expect.h"

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
#include "asyncproc/process.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

constexpr int64_t kLineSize = 80;

std::string SearchedBytes() {
  return absl::StrCat(Scaled(kSearchedLines) * kLineSize);
}

// Output in lines, output in one long line, and output that is like the marker
// except for its end.
std::vector<std::string> Lines() {
  return {Child("write_lines"), absl::StrCat(Scaled(kSearchedLines)),
          std::string(kMarker)};
}
std::vector<std::string> OneLine() {
  return {Child("write_bytes"), SearchedBytes(), std::string(kMarker)};
}
std::vector<std::string> NearMisses() {
  return {Child("write_near_misses"), SearchedBytes(), std::string(kMarker)};
}

using Source = std::vector<std::string> (*)();

void Search(benchmark::State& state, Source source, const Pattern& pattern) {
  const int64_t size = Scaled(kSearchedLines) * kLineSize;
  for (auto _ : state) {
    auto process = Process::Spawn(Command(source()));
    CHECK_OK(process.status());
    Expect expect(process->get());
    auto found = expect.Await(pattern, absl::Minutes(1));
    CHECK_OK(found.status());
    CHECK_EQ(found->before.size(), static_cast<size_t>(size));
    auto status = (*process)->Wait();
    CHECK(status.ok() && status->ok()) << status.status();
  }
  state.SetBytesProcessed(state.iterations() * size);
}

template <Source kSource>
void ByExpect(benchmark::State& state) {
  Search(state, kSource, Pattern::Literal(std::string(kMarker)));
}
ASYNCPROC_BENCHMARK(ByExpect<Lines>, "expect/asyncproc");
ASYNCPROC_BENCHMARK(ByExpect<OneLine>, "expect_in_one_line/asyncproc");
ASYNCPROC_BENCHMARK(ByExpect<NearMisses>, "expect_near_misses/asyncproc");

template <Source kSource>
void ByExpectOfRegex(benchmark::State& state) {
  Search(state, kSource, Pattern::Regex("MARKER ([0-9]+)\n"));
}
ASYNCPROC_BENCHMARK(ByExpectOfRegex<OneLine>,
                    "expect_regex_in_one_line/asyncproc");
ASYNCPROC_BENCHMARK(ByExpectOfRegex<NearMisses>,
                    "expect_regex_near_misses/asyncproc");

void ByExpectOfLine(benchmark::State& state) {
  Search(state, Lines, Pattern::Regex("(?m)^MARKER ([0-9]+)\r?$"));
}
ASYNCPROC_BENCHMARK(ByExpectOfLine, "expect_regex/asyncproc");

// One that no text is necessary for.
void ByExpectOfClasses(benchmark::State& state) {
  Search(state, Lines, Pattern::Regex("[A-L-N]?M\\w+ [0-9]{2}\n"));
}
ASYNCPROC_BENCHMARK(ByExpectOfClasses, "expect_regex_of_classes/asyncproc");

template <Source kSource>
void ByMemmem(benchmark::State& state) {
  const int64_t searched = Scaled(kSearchedLines) * kLineSize;
  for (auto _ : state) {
    BareChild child(kSource(), kBarePipeSize);
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
    CHECK_EQ(before.size(), static_cast<size_t>(searched));
    free(data);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * searched);
}
ASYNCPROC_BENCHMARK(ByMemmem<Lines>, "expect/limit");
ASYNCPROC_BENCHMARK(ByMemmem<Lines>, "expect_regex/limit");
ASYNCPROC_BENCHMARK(ByMemmem<Lines>, "expect_regex_of_classes/limit");
ASYNCPROC_BENCHMARK(ByMemmem<OneLine>, "expect_in_one_line/limit");
ASYNCPROC_BENCHMARK(ByMemmem<OneLine>, "expect_regex_in_one_line/limit");
ASYNCPROC_BENCHMARK(ByMemmem<NearMisses>, "expect_near_misses/limit");
ASYNCPROC_BENCHMARK(ByMemmem<NearMisses>, "expect_regex_near_misses/limit");

}  // namespace
}  // namespace asyncproc::bench
