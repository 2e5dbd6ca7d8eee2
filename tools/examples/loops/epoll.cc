// Children in a host's own epoll loop, beside its timer.

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/examples/loops/jobs.h"

int main() {
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec every_10_ms = {{0, 10'000'000}, {0, 10'000'000}};
  timerfd_settime(timer, 0, &every_10_ms, nullptr);
  epoll_event watch = {};
  watch.events = EPOLLIN;
  watch.data.fd = timer;
  epoll_ctl(loop, EPOLL_CTL_ADD, timer, &watch);

  Jobs jobs;
  absl::Status status = jobs.Start();

  // The glue: jobs.fd() is watched, and when it is readable, Poll handles what
  // has happened. It returns kDeadlineExceeded while children run.
  absl::StatusOr<int> fd = jobs.fd();
  status.Update(fd.status());
  if (!status.ok()) return jobs.Report(status);
  watch.data.fd = *fd;
  if (epoll_ctl(loop, EPOLL_CTL_ADD, *fd, &watch) < 0) return 1;
  status = absl::DeadlineExceededError("not polled yet");
  while (absl::IsDeadlineExceeded(status)) {
    epoll_event event;
    if (epoll_wait(loop, &event, 1, -1) < 1) continue;
    if (event.data.fd == *fd) status = jobs.Poll(absl::ZeroDuration());
    // The end of the glue.

    if (event.data.fd == timer) {
      uint64_t expired;
      if (read(timer, &expired, sizeof(expired)) > 0) jobs.CountTick();
    }
  }
  close(timer);
  close(loop);
  return jobs.Report(status);
}
