// Poco's Process, with pipes and the streams on them, as its headers show it.

#include <Poco/NullStream.h>
#include <Poco/Pipe.h>
#include <Poco/PipeStream.h>
#include <Poco/Process.h>
#include <Poco/StreamCopier.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/log/check.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

using Poco::Pipe;
using Poco::PipeInputStream;
using Poco::PipeOutputStream;
using Poco::Process;
using Poco::ProcessHandle;
using Poco::StreamCopier;

void Spawn(benchmark::State& state) {
  const std::string program = Child("exit_at_once");
  for (auto _ : state) {
    Pipe in, out, err;
    ProcessHandle handle = Process::launch(program, {}, &in, &out, &err);
    PipeInputStream out_stream(out);
    PipeInputStream err_stream(err);
    std::string text;
    StreamCopier::copyToString(out_stream, text);
    StreamCopier::copyToString(err_stream, text);
    CHECK_EQ(handle.wait(), 0);
    CHECK(text.empty());
  }
}
ASYNCPROC_BENCHMARK(Spawn, "spawn/poco");

void Drain(benchmark::State& state) {
  const int64_t size = Scaled(kDrained);
  for (auto _ : state) {
    Pipe out;
    ProcessHandle handle = Process::launch(
        Child("write_bytes"), {std::to_string(size)}, nullptr, &out, nullptr);
    PipeInputStream stream(out);
    Poco::NullOutputStream nowhere;
    CHECK_EQ(static_cast<int64_t>(
                 StreamCopier::copyStream64(stream, nowhere, kBuffer)),
             size);
    CHECK_EQ(handle.wait(), 0);
  }
}
ASYNCPROC_BENCHMARK(Drain, "drain/poco");

void Capture(benchmark::State& state) {
  const int64_t size = Scaled(kCaptured);
  for (auto _ : state) {
    Pipe out;
    ProcessHandle handle = Process::launch(
        Child("write_bytes"), {std::to_string(size)}, nullptr, &out, nullptr);
    PipeInputStream stream(out);
    std::string text;
    StreamCopier::copyToString64(stream, text);
    CHECK_EQ(handle.wait(), 0);
    CHECK_EQ(text.size(), static_cast<size_t>(size));
  }
}
ASYNCPROC_BENCHMARK(Capture, "capture/poco");

void Lines(benchmark::State& state) {
  const int64_t lines = Scaled(kLines);
  for (auto _ : state) {
    Pipe out;
    ProcessHandle handle = Process::launch(
        Child("write_lines"), {std::to_string(lines)}, nullptr, &out, nullptr);
    PipeInputStream stream(out);
    int64_t count = 0;
    std::string line;
    while (std::getline(stream, line)) count += line.size() == 79;
    CHECK_EQ(handle.wait(), 0);
    CHECK_EQ(count, lines);
  }
}
ASYNCPROC_BENCHMARK(Lines, "lines/poco");

void RoundTrip(benchmark::State& state) {
  Pipe in, out;
  ProcessHandle handle = Process::launch(Child("echo"), {}, &in, &out, nullptr);
  PipeOutputStream to(in);
  PipeInputStream from(out);
  std::string line;
  for (auto _ : state) {
    to << kLine << std::flush;
    std::getline(from, line);
    CHECK_EQ(line.size(), kLine.size() - 1);
  }
  to.close();
  handle.wait();
}
ASYNCPROC_BENCHMARK(RoundTrip, "round_trip/poco");

void Feed(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  const std::string chunk(kBuffer, '.');
  for (auto _ : state) {
    Pipe in;
    ProcessHandle handle =
        Process::launch(Child("read_all"), {}, &in, nullptr, nullptr);
    PipeOutputStream stream(in);
    for (int64_t left = size; left > 0; left -= kBuffer) {
      stream.write(chunk.data(), std::min<int64_t>(left, kBuffer));
    }
    stream.close();
    CHECK_EQ(handle.wait(), 0);
  }
}
ASYNCPROC_BENCHMARK(Feed, "feed/poco");

}  // namespace
}  // namespace asyncproc::bench
