// Starting a child that exits at once: three pipes, read to their end, and the
// wait; also by a host that is large, by one that may have very many
// descriptors, and by eight threads at once; and many commands in a row.

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

void ByProcess(benchmark::State& state) {
  const Command command({Child("exit_at_once")});
  for (auto _ : state) {
    auto process = Process::Spawn(command);
    CHECK_OK(process.status());
    auto status = (*process)->Wait();
    CHECK(status.ok() && status->ok()) << status.status();
    CHECK((*process)->out().AtEof() && (*process)->err().AtEof());
  }
}
ASYNCPROC_BENCHMARK(ByProcess, "spawn/asyncproc");

void ByRun(benchmark::State& state) {
  const Command command({Child("exit_at_once")});
  for (auto _ : state) {
    auto result = Run(command);
    CHECK(result.ok() && result->status.ok()) << result.status();
  }
}
ASYNCPROC_BENCHMARK(ByRun, "spawn_run/asyncproc");

void ByPosixSpawn(benchmark::State& state) {
  const std::string program = Child("exit_at_once");
  for (auto _ : state) {
    BareChild child({program});
    child.Wait();
  }
}
ASYNCPROC_BENCHMARK(ByPosixSpawn, "spawn/limit");
ASYNCPROC_BENCHMARK(ByPosixSpawn, "spawn_run/limit");

// Bare system calls in the thread of a Process whose stderr is silent.
void ByPosixSpawnAndThread(benchmark::State& state) {
  const std::string program = Child("exit_at_once");
  for (auto _ : state) {
    BareChild child({program});
    { BareReader out(child.out()); }
    child.Wait();
  }
}
ASYNCPROC_BENCHMARK(ByPosixSpawnAndThread, "spawn/threads");

// Eight threads at once; each starts one child after the other.
constexpr int kThreads = 8;
ASYNCPROC_BENCHMARK(ByProcess, "spawn_threads/asyncproc")->Threads(kThreads);
ASYNCPROC_BENCHMARK(ByPosixSpawn, "spawn_threads/limit")->Threads(kThreads);

// Many short commands in a row; the limit discards the output.
void InARowByRun(benchmark::State& state) {
  const int64_t runs = Scaled(kRuns);
  for (auto _ : state) {
    for (int64_t i = 0; i < runs; ++i) {
      auto result = Run({Child("say"), absl::StrCat(i)});
      CHECK(result.ok() && result->status.ok()) << result.status();
      CHECK_EQ(result->out, absl::StrCat(i, "\n"));
    }
  }
  state.SetItemsProcessed(state.iterations() * runs);
}
ASYNCPROC_BENCHMARK(InARowByRun, "runs_in_a_row/asyncproc");

void InARowByPosixSpawn(benchmark::State& state) {
  const int64_t runs = Scaled(kRuns);
  for (auto _ : state) {
    for (int64_t i = 0; i < runs; ++i) {
      BareChild child({Child("say"), absl::StrCat(i)});
      child.Wait();
    }
  }
  state.SetItemsProcessed(state.iterations() * runs);
}
ASYNCPROC_BENCHMARK(InARowByPosixSpawn, "runs_in_a_row/limit");

// Fork and exec without pipes: the least cost of a start that copies the memory
// map of the host.
void ByFork(benchmark::State& state) {
  const std::string program = Child("exit_at_once");
  for (auto _ : state) {
    const pid_t pid = fork();
    PCHECK(pid >= 0);
    if (pid == 0) {
      execl(program.c_str(), program.c_str(), nullptr);
      _exit(127);
    }
    int status;
    PCHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
  }
}

// Memory of the host that is there, in pages of the usual size.
class Ballast {
 public:
  explicit Ballast(size_t size) : size_(size) {
    memory_ = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    PCHECK(memory_ != MAP_FAILED);
    madvise(memory_, size, MADV_NOHUGEPAGE);
    char* const bytes = static_cast<char*>(memory_);
    for (size_t i = 0; i < size; i += 4096) bytes[i] = 1;
  }
  ~Ballast() { munmap(memory_, size_); }

 private:
  const size_t size_;
  void* memory_;
};

template <void (*kStart)(benchmark::State&)>
void InLargeHost(benchmark::State& state) {
  const Ballast ballast(Scaled(int64_t{1} << 30));
  kStart(state);
}
ASYNCPROC_BENCHMARK(InLargeHost<ByProcess>, "spawn_1gib/asyncproc");
ASYNCPROC_BENCHMARK(ByProcess, "spawn_1gib/limit");
ASYNCPROC_BENCHMARK(InLargeHost<ByFork>, "spawn_1gib/fork");

// With as many descriptors allowed as `wanted`, or as the system allows.
void WithLimit(benchmark::State& state, rlim_t wanted) {
  rlimit before;
  PCHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit limit = {wanted, std::max(wanted, before.rlim_max)};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    limit = {std::min(wanted, before.rlim_max), before.rlim_max};
    PCHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  ByProcess(state);
  state.counters["descriptor_limit"] = static_cast<double>(limit.rlim_cur);
  setrlimit(RLIMIT_NOFILE, &before);
}

void ManyDescriptors(benchmark::State& state) { WithLimit(state, 1'000'000); }
void FewDescriptors(benchmark::State& state) { WithLimit(state, 1024); }
ASYNCPROC_BENCHMARK(ManyDescriptors, "spawn_many_fds/asyncproc");
ASYNCPROC_BENCHMARK(FewDescriptors, "spawn_many_fds/limit");

}  // namespace
}  // namespace asyncproc::bench
