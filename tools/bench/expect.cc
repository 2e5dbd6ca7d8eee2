// How fast Expect finds a marker behind 50 MB of a child's output, beside
// memmem over the same bytes as they arrive in one growing buffer:
//
//   bazel run -c opt //tools/bench:expect
//
// "CPU" is the time of all of this program's threads. Expect's is to be no more
// than three times that of memmem.

#include "asyncproc/expect.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "benchmark/benchmark.h"

namespace {

constexpr size_t kSize = 50 * 1000 * 1000;
constexpr absl::string_view kMarker = "\nMARKER 42\n";

// What the output looks like.
enum Kind { kLog, kOneLine, kNearMisses };

// Lines as of a log; a line that never ends; lines that begin as the marker
// does.
std::string Text(Kind kind) {
  std::string text;
  text.reserve(kSize + 200);
  for (int i = 0; text.size() < kSize; ++i) {
    switch (kind) {
      case kLog:
        absl::StrAppend(&text, "[", i, "] request from 10.0.0.", i % 256,
                        " took ", i % 977, " ms\n");
        break;
      case kOneLine:
        text.append(1000, 'x');
        break;
      case kNearMisses:
        absl::StrAppend(&text, "\nMARK MARKE MARKER ");
        break;
    }
  }
  return absl::StrCat(text, kMarker);
}

// A file with it, that a child writes out: by cat, which costs us nothing.
class Source {
 public:
  explicit Source(Kind kind)
      : path_(absl::StrCat(std::filesystem::temp_directory_path().string(),
                           "/asyncproc-expect-", getpid())) {
    std::ofstream(path_, std::ios::binary) << Text(kind);
  }
  ~Source() { std::filesystem::remove(path_); }

  asyncproc::Command command() const { return {"cat", path_}; }

 private:
  const std::string path_;
};

// The limit: reads into one buffer, and looks at each byte once.
void BM_Memmem(benchmark::State& state) {
  const Source source(static_cast<Kind>(state.range(0)));
  for (auto _ : state) {
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    fcntl(fds[0], F_SETPIPE_SZ, 1024 * 1024);
    asyncproc::Command command = source.command();
    command.out = asyncproc::Stdio::Fd(fds[1]);
    auto process = asyncproc::Process::Spawn(command);
    CHECK_OK(process.status());
    close(fds[1]);
    size_t capacity = 0, size = 0;
    char* data = nullptr;
    const char* found = nullptr;
    while (found == nullptr) {
      if (capacity - size < 65536) {
        capacity = capacity * 2 + 1024 * 1024;
        data = static_cast<char*>(realloc(data, capacity));
        CHECK(data != nullptr);
      }
      const ssize_t count = read(fds[0], data + size, capacity - size);
      CHECK_GT(count, 0);
      const size_t from = size < kMarker.size() ? 0 : size - kMarker.size() + 1;
      size += static_cast<size_t>(count);
      found = static_cast<const char*>(
          memmem(data + from, size - from, kMarker.data(), kMarker.size()));
    }
    // As Expect does: what came before is handed to the caller.
    std::string before(data, static_cast<size_t>(found - data));
    benchmark::DoNotOptimize(before);
    free(data);
    close(fds[0]);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kSize));
}

void Find(benchmark::State& state, const asyncproc::Pattern& pattern) {
  const Source source(static_cast<Kind>(state.range(0)));
  for (auto _ : state) {
    auto process = asyncproc::Process::Spawn(source.command());
    CHECK_OK(process.status());
    asyncproc::Expect expect(process->get());
    auto found = expect.Await(pattern, absl::Minutes(1));
    CHECK_OK(found.status());
    CHECK_GE(found->before.size(), kSize);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kSize));
}

void BM_ExpectLiteral(benchmark::State& state) {
  Find(state, asyncproc::Pattern::Literal(std::string(kMarker)));
}

void BM_ExpectRegex(benchmark::State& state) {
  Find(state, asyncproc::Pattern::Regex("(?m)^MARKER ([0-9]+)\r?$"));
}

// One that the text which it needs does not help with: it is a single letter.
void BM_ExpectRegexOfClasses(benchmark::State& state) {
  Find(state, asyncproc::Pattern::Regex("\n[A-L-N]?[M]\\w+ [0-9]{2}\n"));
}

void Kinds(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("kind")
      ->Arg(kLog)
      ->Arg(kOneLine)
      ->Arg(kNearMisses)
      ->Unit(benchmark::kMillisecond)
      ->MeasureProcessCPUTime()
      ->UseRealTime();
}

BENCHMARK(BM_Memmem)->Apply(Kinds);
BENCHMARK(BM_ExpectLiteral)->Apply(Kinds);
BENCHMARK(BM_ExpectRegex)->Apply(Kinds);
BENCHMARK(BM_ExpectRegexOfClasses)->Apply(Kinds);

}  // namespace
