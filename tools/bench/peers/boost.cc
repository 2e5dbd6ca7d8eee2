// Boost.Process: children as its tutorial talks to them, synchronously by
// streams, and asynchronously where there is much to read.

#include <boost/asio.hpp>
#include <boost/process.hpp>
#include <cstdint>
#include <future>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/string_view.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

namespace asio = boost::asio;
namespace bp = boost::process;

void Spawn(benchmark::State& state) {
  const std::string program = Child("exit_at_once");
  for (auto _ : state) {
    bp::opstream in;
    bp::ipstream out;
    bp::ipstream err;
    bp::child child(program, bp::std_in<in, bp::std_out> out,
                    bp::std_err > err);
    std::string line;
    while (std::getline(out, line)) {
    }
    while (std::getline(err, line)) {
    }
    child.wait();
    CHECK_EQ(child.exit_code(), 0);
  }
}
ASYNCPROC_BENCHMARK(Spawn, "spawn/boost");

// Reads on until the end.
void ReadSome(bp::async_pipe& pipe, std::vector<char>& buffer, int64_t* count) {
  pipe.async_read_some(
      asio::buffer(buffer),
      [&, count](boost::system::error_code error, size_t size) {
        *count += static_cast<int64_t>(size);
        if (!error) ReadSome(pipe, buffer, count);
      });
}

void Drain(benchmark::State& state) {
  const int64_t size = Scaled(kDrained);
  for (auto _ : state) {
    asio::io_context context;
    bp::async_pipe out(context);
    bp::child child(Child("write_bytes"), std::to_string(size),
                    bp::std_out > out, context);
    std::vector<char> buffer(4096);  // The tutorial's.
    int64_t count = 0;
    ReadSome(out, buffer, &count);
    context.run();
    child.wait();
    CHECK_EQ(count, size);
  }
}
ASYNCPROC_BENCHMARK(Drain, "drain/boost");

void Capture(benchmark::State& state) {
  const int64_t size = Scaled(kCaptured);
  for (auto _ : state) {
    asio::io_context context;
    std::future<std::string> out;
    bp::child child(Child("write_bytes"), std::to_string(size),
                    bp::std_in.close(), bp::std_out > out,
                    bp::std_err > bp::null, context);
    context.run();
    child.wait();
    CHECK_EQ(out.get().size(), static_cast<size_t>(size));
  }
}
ASYNCPROC_BENCHMARK(Capture, "capture/boost");

void Lines(benchmark::State& state) {
  const int64_t lines = Scaled(kLines);
  for (auto _ : state) {
    bp::ipstream out;
    bp::child child(Child("write_lines"), std::to_string(lines),
                    bp::std_out > out);
    int64_t count = 0;
    std::string line;
    while (std::getline(out, line)) count += line.size() == 79;
    child.wait();
    CHECK_EQ(count, lines);
  }
}
ASYNCPROC_BENCHMARK(Lines, "lines/boost");

void RoundTrip(benchmark::State& state) {
  bp::opstream in;
  bp::ipstream out;
  bp::child child(Child("echo"), bp::std_in<in, bp::std_out> out);
  std::string line;
  for (auto _ : state) {
    in << kLine << std::flush;
    std::getline(out, line);
    CHECK_EQ(line.size(), kLine.size() - 1);
  }
  in.pipe().close();
  child.wait();
}
ASYNCPROC_BENCHMARK(RoundTrip, "round_trip/boost");

void Feed(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  const std::string chunk(kBuffer, '.');
  for (auto _ : state) {
    bp::opstream in;
    bp::child child(Child("read_all"), bp::std_in < in);
    for (int64_t left = size; left > 0; left -= kBuffer) {
      in.write(chunk.data(), std::min<int64_t>(left, kBuffer));
    }
    in.flush();
    in.pipe().close();
    child.wait();
  }
}
ASYNCPROC_BENCHMARK(Feed, "feed/boost");

}  // namespace
}  // namespace asyncproc::bench
