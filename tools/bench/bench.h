#ifndef ASYNCPROC_TOOLS_BENCH_BENCH_H_
#define ASYNCPROC_TOOLS_BENCH_BENCH_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "benchmark/benchmark.h"

// The common parts of the benchmarks. Each figure has a name of two parts, the
// work and the library: "drain/asyncproc". "drain/limit" is the same work by
// bare system calls, on the same child. tools/bench/compare computes the ratio;
// to run one work alone:
//
//   bazel run -c opt //tools/bench -- --benchmark_filter=drain/
//
// The time is that of the clock on the wall; CPU is that of all threads of the
// host, and none of the child.

// Registers `function` as the figure `name`.
#define ASYNCPROC_BENCHMARK(function, name) \
  BENCHMARK(function)->Name(name)->UseRealTime()->MeasureProcessCPUTime()

namespace asyncproc::bench {

// Where a program of tools/bench/children is.
std::string Child(absl::string_view name);

// `size` divided by the flag --divide, for a quick run.
int64_t Scaled(int64_t size);

// Lets this process have as many descriptors as the system allows.
void RaiseDescriptorLimit();

inline constexpr int kBarePipeSize = 1024 * 1024;

// A child as one starts it by hand: posix_spawn and three pipes, nothing else.
// Its output is to be read to the end, and it is to be waited for.
class BareChild {
 public:
  // `pipe_size`: of stdin and stdout; 0: the kernel's own. `passed`: further
  // descriptors, by their numbers in the child; those of the host are closed.
  explicit BareChild(const std::vector<std::string>& argv, int pipe_size = 0,
                     const std::map<int, int>& passed = {});
  BareChild(const BareChild&) = delete;
  ~BareChild();

  pid_t pid() const { return pid_; }
  int in() const { return in_; }
  int out() const { return out_; }
  int err() const { return err_; }

  void Write(absl::string_view data);
  // Blocks until the bytes read end with `end`.
  void ReadUntil(int fd, absl::string_view end);
  void CloseIn();
  // Reads to the end of the stream and drops the bytes.
  void ReadToEnd(int fd);
  // Reads both streams to their end, and reaps it.
  void Wait();

 private:
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
};

// A thread that reads a descriptor by blocking calls for a caller that waits:
// the least that a reader thread costs.
class BareReader {
 public:
  explicit BareReader(int fd);
  // REQUIRES: end-of-file.
  ~BareReader();

  // Waits for bytes, and replaces `data` by them. False at end-of-file.
  bool Take(std::string* data) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run(int fd) ABSL_LOCKS_EXCLUDED(mu_);

  absl::Mutex mu_;
  std::string data_ ABSL_GUARDED_BY(mu_);
  bool at_end_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace asyncproc::bench

#endif  // ASYNCPROC_TOOLS_BENCH_BENCH_H_
