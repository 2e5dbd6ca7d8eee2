// Children in an io_context of Boost.Asio, beside its timer. For Asio without
// Boost, the header is <asio.hpp>, and asio::error_code is the error.

#include <boost/asio.hpp>
#include <chrono>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/examples/loops/jobs.h"

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

void CountTicks(asio::steady_timer& timer, Jobs& jobs) {
  timer.expires_after(std::chrono::milliseconds(10));
  timer.async_wait([&](error_code error) {
    if (error) return;
    jobs.CountTick();
    CountTicks(timer, jobs);
  });
}

// The glue: when jobs.fd() is readable, Poll handles what has happened. It
// returns kDeadlineExceeded while children run. The descriptor is the poller's:
// Asio has to release it, or it would close it.
void AwaitJobs(asio::posix::stream_descriptor& watch, Jobs& jobs,
               std::function<void(absl::Status)> done) {
  watch.async_wait(watch.wait_read, [&watch, &jobs, done](error_code) {
    absl::Status status = jobs.Poll(absl::ZeroDuration());
    if (absl::IsDeadlineExceeded(status)) return AwaitJobs(watch, jobs, done);
    watch.release();
    done(status);
  });
}
// The end of the glue, but for two lines in main.

}  // namespace

int main() {
  asio::io_context loop;
  asio::steady_timer timer(loop);
  Jobs jobs;
  CountTicks(timer, jobs);

  absl::Status status = jobs.Start();
  absl::StatusOr<int> fd = jobs.fd();
  status.Update(fd.status());
  if (!status.ok()) return jobs.Report(status);
  asio::posix::stream_descriptor watch(loop, *fd);
  AwaitJobs(watch, jobs, [&](absl::Status ended) {
    status = ended;
    loop.stop();
  });
  loop.run();
  return jobs.Report(status);
}
