// Much output, and much input. The limit is a loop of reads or writes of 1 MiB
// on a pipe of 1 MiB, by the host's only thread.

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"
#include "asyncproc/recorder.h"
#include "asyncproc/run.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

constexpr size_t kChunk = 1024 * 1024;

std::vector<std::string> Source(int64_t bytes) {
  return {Child("write_bytes"), absl::StrCat(bytes)};
}

void MustEndWell(Process& process) {
  auto status = process.Wait();
  CHECK(status.ok() && status->ok()) << status.status();
}

// Reads the output to its end, calls `after` after each read, and returns the
// number of bytes.
template <typename After>
int64_t ReadAllInPlace(Process& process, After after) {
  int64_t count = 0;
  const auto use = [&](absl::string_view data) {
    count += static_cast<int64_t>(data.size());
  };
  while (process.out().ReadInPlace(use, absl::InfiniteDuration()).ok()) after();
  return count;
}

// --- drain: all that is said, looked at by no one.

// `Extra` uses the output besides the reader of the stream. Advance runs after
// each read, and Finish after the end of the output, of `size` bytes.
template <typename Extra>
void DrainFrom(benchmark::State& state, const Stdio& out) {
  const int64_t size = Scaled(kDrained);
  for (auto _ : state) {
    Command command(Source(size));
    command.out = out;
    auto process = Process::Spawn(command);
    CHECK_OK(process.status());
    Extra extra(**process);
    CHECK_EQ(ReadAllInPlace(**process, [&] { extra.Advance(); }), size);
    MustEndWell(**process);
    extra.Finish(size);
  }
  state.SetBytesProcessed(state.iterations() * size);
}

template <typename Extra>
void Drain(benchmark::State& state) {
  DrainFrom<Extra>(state, Stdio::Pipe());
}

struct Nothing {
  explicit Nothing(Process&) {}
  void Advance() {}
  void Finish(int64_t) {}
};
ASYNCPROC_BENCHMARK(Drain<Nothing>, "drain/asyncproc");
ASYNCPROC_BENCHMARK(Drain<Nothing>, "drain_tap/limit");
ASYNCPROC_BENCHMARK(Drain<Nothing>, "drain_cursors/limit");
ASYNCPROC_BENCHMARK(Drain<Nothing>, "drain_recorder/limit");

void DrainBySocket(benchmark::State& state) {
  DrainFrom<Nothing>(state, Stdio::Socket());
}
ASYNCPROC_BENCHMARK(DrainBySocket, "drain_socket/asyncproc");

class OneTap {
 public:
  explicit OneTap(Process& process) {
    auto tap = process.out().AddTap([this](absl::string_view data) {
      count_ += static_cast<int64_t>(data.size());
    });
    CHECK_OK(tap.status());
    tap_ = *std::move(tap);
  }
  void Advance() {}
  void Finish(int64_t size) {
    CHECK(tap_.Finish());
    CHECK_EQ(count_, size);
  }

 private:
  int64_t count_ = 0;
  TapHandle tap_;
};
ASYNCPROC_BENCHMARK(Drain<OneTap>, "drain_tap/asyncproc");

// Ten more cursors; the thread that reads the stream reads them too.
class TenCursors {
 public:
  explicit TenCursors(Process& process) {
    for (int i = 0; i < kCursors; ++i) {
      cursors_.push_back(process.out().NewCursor());
    }
  }
  void Advance() {
    for (OutputCursor& cursor : cursors_) {
      count_ += static_cast<int64_t>(cursor.Read().size());
    }
  }
  void Finish(int64_t size) {
    Advance();
    CHECK_EQ(count_, kCursors * size);
  }

 private:
  static constexpr int kCursors = 10;

  std::vector<OutputCursor> cursors_;
  int64_t count_ = 0;
};
ASYNCPROC_BENCHMARK(Drain<TenCursors>, "drain_cursors/asyncproc");

// A Recorder that keeps all bytes in memory: neither a disk nor the format of a
// file is measured.
class OneRecorder {
 public:
  explicit OneRecorder(Process& process) {
    CHECK_OK(recorder_->Attach(process));
  }
  void Advance() {}
  void Finish(int64_t) { CHECK_OK(recorder_->Close()); }

 private:
  const std::shared_ptr<Recorder> recorder_ = Recorder::InMemory();
};
ASYNCPROC_BENCHMARK(Drain<OneRecorder>, "drain_recorder/asyncproc");

// Reads the output to its end, and returns the number of bytes.
int64_t ReadAll(const BareChild& child) {
  const std::unique_ptr<char[]> buffer(new char[kChunk]);
  int64_t count = 0;
  ssize_t piece;
  while ((piece = read(child.out(), buffer.get(), kChunk)) > 0) count += piece;
  return count;
}

int64_t TakeAll(BareReader& reader) {
  int64_t count = 0;
  for (std::string data; reader.Take(&data);) {
    count += static_cast<int64_t>(data.size());
  }
  return count;
}

void ReadLoop(benchmark::State& state, int64_t size) {
  for (auto _ : state) {
    BareChild child(Source(size), kBarePipeSize);
    CHECK_EQ(ReadAll(child), size);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * size);
}

void DrainByReadLoop(benchmark::State& state) {
  ReadLoop(state, Scaled(kDrained));
}
ASYNCPROC_BENCHMARK(DrainByReadLoop, "drain/limit");
ASYNCPROC_BENCHMARK(DrainByReadLoop, "drain_socket/limit");

// Bare system calls in the threads of a Process: a second thread reads for the
// caller.
void DrainByTwoThreads(benchmark::State& state) {
  const int64_t size = Scaled(kDrained);
  for (auto _ : state) {
    BareChild child(Source(size), kBarePipeSize);
    BareReader reader(child.out());
    CHECK_EQ(TakeAll(reader), size);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * size);
}
ASYNCPROC_BENCHMARK(DrainByTwoThreads, "drain/threads");

// --- capture: all of it in one piece; the limit keeps nothing.

void CaptureByRun(benchmark::State& state) {
  const int64_t size = Scaled(kCaptured);
  for (auto _ : state) {
    auto result = Run(Command(Source(size)));
    CHECK_OK(result.status());
    CHECK_EQ(result->out.size(), static_cast<size_t>(size));
  }
  state.SetBytesProcessed(state.iterations() * size);
}
ASYNCPROC_BENCHMARK(CaptureByRun, "capture/asyncproc");

void CaptureByReadLoop(benchmark::State& state) {
  ReadLoop(state, Scaled(kCaptured));
}
ASYNCPROC_BENCHMARK(CaptureByReadLoop, "capture/limit");

void CaptureByGrowingBlock(benchmark::State& state) {
  const auto size = static_cast<size_t>(Scaled(kCaptured));
  for (auto _ : state) {
    BareChild child(Source(Scaled(kCaptured)), kBarePipeSize);
    size_t capacity = kChunk;
    auto* block = static_cast<char*>(malloc(capacity));
    size_t count = 0;
    ssize_t piece;
    while ((piece = read(child.out(), block + count,
                         std::min(capacity - count, kChunk))) > 0) {
      count += static_cast<size_t>(piece);
      if (count < capacity) continue;
      block = static_cast<char*>(realloc(block, capacity *= 2));
      CHECK(block != nullptr);
    }
    CHECK_EQ(count, size);
    free(block);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * Scaled(kCaptured));
}
ASYNCPROC_BENCHMARK(CaptureByRun, "capture_kept/asyncproc");
ASYNCPROC_BENCHMARK(CaptureByGrowingBlock, "capture_kept/limit");

// --- lines.

// The peak memory of this program, which measures one benchmark at a time.
void CountPeakMemory(benchmark::State& state) {
  rusage usage;
  PCHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  state.counters["peak_mib"] = static_cast<double>(usage.ru_maxrss) / 1024;
}

void LinesByProcess(benchmark::State& state) {
  const int64_t lines = Scaled(kLines);
  for (auto _ : state) {
    auto process = Process::Spawn({Child("write_lines"), absl::StrCat(lines)});
    CHECK_OK(process.status());
    int64_t count = 0;
    for (;;) {
      auto line = (*process)->out().ReadLine(absl::InfiniteDuration());
      if (!line.ok()) break;
      count += line->size() == 79;
    }
    CHECK_EQ(count, lines);
    MustEndWell(**process);
  }
  state.SetBytesProcessed(state.iterations() * lines * 80);
  CountPeakMemory(state);
}
ASYNCPROC_BENCHMARK(LinesByProcess, "lines/asyncproc");

void LinesIntoOneString(benchmark::State& state) {
  const int64_t lines = Scaled(kLines);
  for (auto _ : state) {
    auto process = Process::Spawn({Child("write_lines"), absl::StrCat(lines)});
    CHECK_OK(process.status());
    std::string line;
    int64_t count = 0;
    while ((*process)->out().ReadLine(&line, absl::InfiniteDuration()).ok()) {
      count += line.size() == 79;
    }
    CHECK_EQ(count, lines);
    MustEndWell(**process);
  }
  state.SetBytesProcessed(state.iterations() * lines * 80);
  CountPeakMemory(state);
}
ASYNCPROC_BENCHMARK(LinesIntoOneString, "lines_reused/asyncproc");

void LinesByGetline(benchmark::State& state) {
  const int64_t lines = Scaled(kLines);
  for (auto _ : state) {
    BareChild child({Child("write_lines"), absl::StrCat(lines)}, kBarePipeSize);
    FILE* const file = fdopen(dup(child.out()), "r");
    CHECK(file != nullptr);
    char* line = nullptr;
    size_t capacity = 0;
    int64_t count = 0;
    while (getline(&line, &capacity, file) == 80) ++count;
    CHECK_EQ(count, lines);
    free(line);
    fclose(file);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * lines * 80);
  CountPeakMemory(state);
}
ASYNCPROC_BENCHMARK(LinesByGetline, "lines/limit");
ASYNCPROC_BENCHMARK(LinesByGetline, "lines_reused/limit");

// --- feed: to a child that reads all of it.

void FeedTo(benchmark::State& state, const Stdio& in) {
  const int64_t size = Scaled(kFed);
  const std::string chunk(kChunk, '.');
  Command command({Child("read_all")});
  command.in = in;
  for (auto _ : state) {
    auto process = Process::Spawn(command);
    CHECK_OK(process.status());
    for (int64_t left = size; left > 0; left -= kChunk) {
      const auto piece = absl::string_view(chunk).substr(
          0, static_cast<size_t>(std::min<int64_t>(left, kChunk)));
      CHECK_OK((*process)->WriteAndFlush(piece, absl::InfiniteDuration()));
    }
    CHECK_OK((*process)->CloseStdin());
    MustEndWell(**process);
  }
  state.SetBytesProcessed(state.iterations() * size);
}

void FeedByProcess(benchmark::State& state) { FeedTo(state, Stdio::Pipe()); }
ASYNCPROC_BENCHMARK(FeedByProcess, "feed/asyncproc");

void FeedBySocket(benchmark::State& state) { FeedTo(state, Stdio::Socket()); }
ASYNCPROC_BENCHMARK(FeedBySocket, "feed_socket/asyncproc");

void FeedByRun(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  RunOptions options;
  options.input = std::string(static_cast<size_t>(size), '.');
  for (auto _ : state) {
    auto result = Run({Child("read_all")}, options);
    CHECK(result.ok() && result->status.ok()) << result.status();
    CHECK_EQ(result->unread_input, 0u);
  }
  state.SetBytesProcessed(state.iterations() * size);
}
ASYNCPROC_BENCHMARK(FeedByRun, "feed_run/asyncproc");

// Writes `size` bytes, and closes stdin.
void WriteAll(BareChild& child, int64_t size) {
  const std::string chunk(kChunk, '.');
  for (int64_t left = size; left > 0; left -= kChunk) {
    child.Write(absl::string_view(chunk).substr(
        0, static_cast<size_t>(std::min<int64_t>(left, kChunk))));
  }
  child.CloseIn();
}

void FeedByWriteLoop(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  for (auto _ : state) {
    BareChild child({Child("read_all")}, kBarePipeSize);
    WriteAll(child, size);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * size);
}
ASYNCPROC_BENCHMARK(FeedByWriteLoop, "feed/limit");
ASYNCPROC_BENCHMARK(FeedByWriteLoop, "feed_run/limit");
ASYNCPROC_BENCHMARK(FeedByWriteLoop, "feed_socket/limit");

// --- both ways: through cat and back, at the same time.

void BothWaysByProcess(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  const std::string chunk(kChunk, '.');
  for (auto _ : state) {
    auto process = Process::Spawn({"cat"});
    CHECK_OK(process.status());
    std::thread writer([&] {
      for (int64_t left = size; left > 0; left -= kChunk) {
        const auto piece = absl::string_view(chunk).substr(
            0, static_cast<size_t>(std::min<int64_t>(left, kChunk)));
        CHECK_OK((*process)->WriteAndFlush(piece, absl::InfiniteDuration()));
      }
      CHECK_OK((*process)->CloseStdin());
    });
    const int64_t count = ReadAllInPlace(**process, [] {});
    writer.join();
    CHECK_EQ(count, size);
    MustEndWell(**process);
  }
  state.SetBytesProcessed(state.iterations() * size);
}
ASYNCPROC_BENCHMARK(BothWaysByProcess, "both_ways/asyncproc");

void BothWaysByTwoThreads(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  for (auto _ : state) {
    BareChild child({"cat"}, kBarePipeSize);
    std::thread writer([&] { WriteAll(child, size); });
    const int64_t count = ReadAll(child);
    writer.join();
    CHECK_EQ(count, size);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * size);
}
ASYNCPROC_BENCHMARK(BothWaysByTwoThreads, "both_ways/limit");

// Bare system calls in the threads of a Process: a third thread reads for the
// caller.
void BothWaysByThreeThreads(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  for (auto _ : state) {
    BareChild child({"cat"}, kBarePipeSize);
    std::thread writer([&] { WriteAll(child, size); });
    BareReader reader(child.out());
    const int64_t count = TakeAll(reader);
    writer.join();
    CHECK_EQ(count, size);
    child.Wait();
  }
  state.SetBytesProcessed(state.iterations() * size);
}
ASYNCPROC_BENCHMARK(BothWaysByThreeThreads, "both_ways/threads");

// --- beside a caller: the time in which a child writes 20 MB to stdout, while
// a caller of the same Process does something else. The limit has no such
// caller.

constexpr int64_t kBesideCaller = 20'000'000;

// Registers `function`, which sets the time of each iteration itself.
#define ASYNCPROC_TIMED_BENCHMARK(function, name) \
  BENCHMARK(function)->Name(name)->UseManualTime()->MeasureProcessCPUTime()

std::unique_ptr<Process> StartBesideCaller() {
  auto process = Process::Spawn(Command(Source(Scaled(kBesideCaller))));
  CHECK_OK(process.status());
  return *std::move(process);
}

void EndBesideCaller(Process& process, benchmark::State& state) {
  auto status = process.Wait();
  CHECK(status.ok() && status->ok()) << status.status();
  state.SetIterationTime(absl::ToDoubleSeconds(status->usage().wall_time));
}

void WritesAlone(benchmark::State& state) {
  for (auto _ : state) {
    auto process = StartBesideCaller();
    EndBesideCaller(*process, state);
  }
}
ASYNCPROC_TIMED_BENCHMARK(WritesAlone, "beside_short_waits/limit");

// A loop of very short waits for the other stream, and 1.5 ms of other work.
void WritesBesideShortWaits(benchmark::State& state) {
  for (auto _ : state) {
    auto process = StartBesideCaller();
    while (absl::IsDeadlineExceeded(
        process->err().ReadLine(absl::Microseconds(10)).status())) {
      absl::SleepFor(absl::Microseconds(1500));
    }
    EndBesideCaller(*process, state);
  }
}
ASYNCPROC_TIMED_BENCHMARK(WritesBesideShortWaits,
                          "beside_short_waits/asyncproc");

// A caller that waits for the other stream, in a signal handler for a second.
// The limit has the same second between two children: meanwhile, the host of a
// virtual machine may take back free memory, which then costs more to write to.
constexpr timespec kInHandler = {1, 0};

void WritesBesideHandler(benchmark::State& state) {
  struct sigaction action = {}, before;
  action.sa_handler = [](int) {
    timespec left = kInHandler;
    while (nanosleep(&left, &left) < 0) {
    }
  };
  PCHECK(sigaction(SIGUSR1, &action, &before) == 0);
  for (auto _ : state) {
    auto process = StartBesideCaller();
    absl::Notification waiting;
    std::thread caller([&] {
      waiting.Notify();
      process->err().ReadLine(absl::InfiniteDuration()).IgnoreError();
    });
    waiting.WaitForNotification();
    pthread_kill(caller.native_handle(), SIGUSR1);
    EndBesideCaller(*process, state);
    caller.join();
  }
  PCHECK(sigaction(SIGUSR1, &before, nullptr) == 0);
}
ASYNCPROC_TIMED_BENCHMARK(WritesBesideHandler, "beside_handler/asyncproc");

void WritesBesideSleeper(benchmark::State& state) {
  for (auto _ : state) {
    auto process = StartBesideCaller();
    std::thread sleeper([] { nanosleep(&kInHandler, nullptr); });
    EndBesideCaller(*process, state);
    sleeper.join();
  }
}
ASYNCPROC_TIMED_BENCHMARK(WritesBesideSleeper, "beside_handler/limit");

}  // namespace
}  // namespace asyncproc::bench
