// libuv: a loop, three "pipes" (its are pairs of sockets), and a buffer of the
// suggested size for each read, as its guide has it. It knows no lines.

#include <uv.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/string_view.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

void Allocate(uv_handle_t*, size_t suggested, uv_buf_t* buffer) {
  *buffer = uv_buf_init(static_cast<char*>(malloc(suggested)),
                        static_cast<unsigned>(suggested));
}

template <typename Handle>
void Close(Handle* handle) {
  auto* const any = reinterpret_cast<uv_handle_t*>(handle);
  if (!uv_is_closing(any)) uv_close(any, nullptr);
}

// A child, its pipes, and the callbacks for its output.
class UvChild {
 public:
  using OnOutput = std::function<void(absl::string_view)>;

  UvChild(uv_loop_t* loop, std::vector<std::string> argv, OnOutput on_output)
      : on_output_(std::move(on_output)) {
    for (uv_pipe_t* pipe : {&in_, &out_, &err_}) {
      uv_pipe_init(loop, pipe, 0);
      pipe->data = this;
    }
    uv_stdio_container_t stdio[3];
    stdio[0].flags =
        static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_READABLE_PIPE);
    stdio[0].data.stream = Stream(&in_);
    stdio[1].flags = stdio[2].flags =
        static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
    stdio[1].data.stream = Stream(&out_);
    stdio[2].data.stream = Stream(&err_);
    std::vector<char*> arguments;
    for (std::string& argument : argv) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    uv_process_options_t options = {};
    options.file = arguments[0];
    options.args = arguments.data();
    options.stdio = stdio;
    options.stdio_count = 3;
    options.exit_cb = [](uv_process_t* process, int64_t status, int) {
      CHECK_EQ(status, 0);
      Close(process);
      static_cast<UvChild*>(process->data)->CloseIn();
    };
    process_.data = this;
    CHECK_EQ(uv_spawn(loop, &process_, &options), 0);
    CHECK_EQ(uv_read_start(Stream(&out_), Allocate, Read), 0);
    CHECK_EQ(uv_read_start(Stream(&err_), Allocate, Read), 0);
  }

  // `data` stays there until `done` is called.
  void Write(absl::string_view data, uv_write_cb done, void* argument) {
    write_.data = argument;
    const uv_buf_t buffer = uv_buf_init(const_cast<char*>(data.data()),
                                        static_cast<unsigned>(data.size()));
    CHECK_EQ(uv_write(&write_, Stream(&in_), &buffer, 1, done), 0);
  }

  void CloseIn() { Close(&in_); }

 private:
  static uv_stream_t* Stream(uv_pipe_t* pipe) {
    return reinterpret_cast<uv_stream_t*>(pipe);
  }

  static void Read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
    auto* const self = static_cast<UvChild*>(stream->data);
    if (count > 0 && stream == Stream(&self->out_)) {
      self->on_output_({buffer->base, static_cast<size_t>(count)});
    }
    if (count < 0) Close(stream);
    free(buffer->base);
  }

  const OnOutput on_output_;
  uv_process_t process_;
  uv_pipe_t in_;
  uv_pipe_t out_;
  uv_pipe_t err_;
  uv_write_t write_;
};

// Runs `argv` to its end.
void RunToEnd(std::vector<std::string> argv, UvChild::OnOutput on_output) {
  uv_loop_t* const loop = uv_default_loop();
  UvChild child(loop, std::move(argv), std::move(on_output));
  uv_run(loop, UV_RUN_DEFAULT);
}

void Spawn(benchmark::State& state) {
  for (auto _ : state) {
    RunToEnd({Child("exit_at_once")}, [](absl::string_view) {});
  }
}
ASYNCPROC_BENCHMARK(Spawn, "spawn/libuv");

void Drain(benchmark::State& state) {
  const int64_t size = Scaled(kDrained);
  for (auto _ : state) {
    size_t count = 0;
    RunToEnd({Child("write_bytes"), std::to_string(size)},
             [&](absl::string_view data) { count += data.size(); });
    CHECK_EQ(count, static_cast<size_t>(size));
  }
}
ASYNCPROC_BENCHMARK(Drain, "drain/libuv");
ASYNCPROC_BENCHMARK(Drain, "drain_socket/libuv");

void Capture(benchmark::State& state) {
  const int64_t size = Scaled(kCaptured);
  for (auto _ : state) {
    std::string text;
    RunToEnd({Child("write_bytes"), std::to_string(size)},
             [&](absl::string_view data) { text.append(data); });
    CHECK_EQ(text.size(), static_cast<size_t>(size));
  }
}
ASYNCPROC_BENCHMARK(Capture, "capture/libuv");

void RoundTrip(benchmark::State& state) {
  uv_loop_t* const loop = uv_default_loop();
  std::string said;
  UvChild child(loop, {Child("echo")},
                [&](absl::string_view data) { said.append(data); });
  for (auto _ : state) {
    said.clear();
    child.Write(kLine, nullptr, nullptr);
    while (said.size() < kLine.size()) uv_run(loop, UV_RUN_ONCE);
  }
  child.CloseIn();
  uv_run(loop, UV_RUN_DEFAULT);
}
ASYNCPROC_BENCHMARK(RoundTrip, "round_trip/libuv");

// The bytes still to be written to a child.
struct Feeding {
  UvChild* child;
  std::string chunk;
  int64_t left;

  void Next() {
    if (left <= 0) return child->CloseIn();
    const auto size = static_cast<size_t>(std::min<int64_t>(left, kBuffer));
    left -= static_cast<int64_t>(size);
    child->Write(
        absl::string_view(chunk).substr(0, size),
        [](uv_write_t* write, int status) {
          CHECK_EQ(status, 0);
          static_cast<Feeding*>(write->data)->Next();
        },
        this);
  }
};

void Feed(benchmark::State& state) {
  for (auto _ : state) {
    uv_loop_t* const loop = uv_default_loop();
    UvChild child(loop, {Child("read_all")}, [](absl::string_view) {});
    Feeding feeding = {&child, std::string(kBuffer, '.'), Scaled(kFed)};
    feeding.Next();
    uv_run(loop, UV_RUN_DEFAULT);
  }
}
ASYNCPROC_BENCHMARK(Feed, "feed/libuv");
ASYNCPROC_BENCHMARK(Feed, "feed_socket/libuv");

}  // namespace
}  // namespace asyncproc::bench
