#include "tools/bench/bench.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "absl/flags/flag.h"
#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/mutex_lock.h"

ABSL_FLAG(int64_t, divide, 1,
          "by how much to make the great works smaller: their figures are then "
          "good for nothing but to see that they run");

namespace asyncproc::bench {
namespace {

struct PipeEnds {
  int read;
  int write;
};

PipeEnds MakePipe(int size) {
  int fds[2];
  PCHECK(pipe2(fds, O_CLOEXEC) == 0);
  if (size > 0) PCHECK(fcntl(fds[0], F_SETPIPE_SZ, size) >= size);
  return {fds[0], fds[1]};
}

}  // namespace

std::string Child(absl::string_view name) {
  // Beside the program, wherever it is run from.
  static const std::string* const folder = [] {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    constexpr absl::string_view kHere = "/tools/bench/";
    const size_t here = self.rfind(kHere);
    CHECK(here != std::string::npos) << self;
    return new std::string(
        absl::StrCat(self.substr(0, here), kHere, "children/"));
  }();
  return absl::StrCat(*folder, name);
}

int64_t Scaled(int64_t size) {
  return std::max<int64_t>(1, size / absl::GetFlag(FLAGS_divide));
}

void RaiseDescriptorLimit() {
  rlimit limit;
  PCHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  PCHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

BareChild::BareChild(const std::vector<std::string>& argv, int pipe_size,
                     const std::map<int, int>& passed) {
  const PipeEnds in = MakePipe(pipe_size);
  const PipeEnds out = MakePipe(pipe_size);
  const PipeEnds err = MakePipe(0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write, 2);
  for (const auto& [number, fd] : passed) {
    posix_spawn_file_actions_adddup2(&actions, fd, number);
  }
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const int error = posix_spawnp(&pid_, arguments[0], &actions, nullptr,
                                 arguments.data(), environ);
  CHECK_EQ(error, 0) << arguments[0];
  posix_spawn_file_actions_destroy(&actions);
  close(in.read);
  close(out.write);
  close(err.write);
  for (const auto& [number, fd] : passed) close(fd);
  in_ = in.write;
  out_ = out.read;
  err_ = err.read;
}

BareChild::~BareChild() {
  CloseIn();
  close(out_);
  close(err_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void BareChild::Write(absl::string_view data) {
  while (!data.empty()) {
    const ssize_t count = write(in_, data.data(), data.size());
    PCHECK(count > 0);
    data.remove_prefix(static_cast<size_t>(count));
  }
}

void BareChild::ReadUntil(int fd, absl::string_view end) {
  std::string text;
  char buffer[4096];
  while (!absl::EndsWith(text, end)) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    PCHECK(count > 0);
    text.append(buffer, static_cast<size_t>(count));
  }
}

void BareChild::CloseIn() {
  if (in_ >= 0) close(in_);
  in_ = -1;
}

void BareChild::ReadToEnd(int fd) {
  char buffer[4096];
  while (read(fd, buffer, sizeof(buffer)) > 0) {
  }
}

void BareChild::Wait() {
  ReadToEnd(out_);
  ReadToEnd(err_);
  int status;
  PCHECK(waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
}

BareReader::BareReader(int fd) : thread_([this, fd] { Run(fd); }) {}

BareReader::~BareReader() { thread_.join(); }

bool BareReader::Take(std::string* data) {
  data->clear();
  const internal::MutexLock lock(mu_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return at_end_ || !data_.empty();
  };
  mu_.Await(absl::Condition(&ready));
  data->swap(data_);
  return !data->empty();
}

void BareReader::Run(int fd) {
  constexpr size_t kReadSize = 256 * 1024;
  const std::unique_ptr<char[]> bytes(new char[kReadSize]);
  for (;;) {
    const ssize_t count = read(fd, bytes.get(), kReadSize);
    const internal::MutexLock lock(mu_);
    if (count <= 0) {
      at_end_ = true;
      return;
    }
    data_.append(bytes.get(), static_cast<size_t>(count));
  }
}

}  // namespace asyncproc::bench
