#include "tools/asyncproc/os/open_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

std::atomic<int> signals{0};

// Signals interrupt a thread that blocks in open, and their handler has no
// SA_RESTART.
TEST(OpenFileTest, WaitsForTheOtherEndOfAFifoAlsoWhenSignalsCome) {
  TemporaryDirectory directory;
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  struct sigaction action = {}, before;
  action.sa_handler = [](int) { ++signals; };
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  std::atomic<bool> opened{false};
  std::thread reader([&] {
    const UniqueFd fd = OpenFile(fifo.c_str(), O_RDONLY);
    opened = true;
    EXPECT_TRUE(fd.valid());
    EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  });
  while (signals < 20) {
    pthread_kill(reader.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  EXPECT_FALSE(opened);

  const UniqueFd other_end(open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  reader.join();

  EXPECT_TRUE(opened);
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(OpenFileTest, LeavesErrnoWhereItFails) {
  EXPECT_FALSE(OpenFile("/no/such/file", O_RDONLY).valid());
  EXPECT_EQ(errno, ENOENT);
}

}  // namespace
}  // namespace asyncproc::cli
