// Children in a libuv loop, beside its timer.

#include <uv.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/examples/loops/jobs.h"

namespace {

struct Host {
  Jobs jobs;
  absl::Status status;
  uv_timer_t timer;
  uv_poll_t poll;
};

void OnTick(uv_timer_t* timer) {
  static_cast<Host*>(timer->data)->jobs.CountTick();
}

template <typename Handle>
void Close(Handle* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
}

// The glue: when jobs.fd() is readable, Poll handles what has happened. It
// returns kDeadlineExceeded while children run.
void OnReadable(uv_poll_t* poll, int, int) {
  Host& host = *static_cast<Host*>(poll->data);
  host.status = host.jobs.Poll(absl::ZeroDuration());
  if (absl::IsDeadlineExceeded(host.status)) return;
  Close(poll);
  Close(&host.timer);  // The loop ends when it has nothing to watch.
}

absl::Status WatchJobs(uv_loop_t* loop, Host& host) {
  absl::StatusOr<int> fd = host.jobs.fd();
  if (!fd.ok()) return fd.status();
  host.poll.data = &host;
  int error = uv_poll_init(loop, &host.poll, *fd);
  if (error == 0) error = uv_poll_start(&host.poll, UV_READABLE, OnReadable);
  return error == 0 ? absl::OkStatus()
                    : absl::InternalError(uv_strerror(error));
}
// The end of the glue.

}  // namespace

int main() {
  uv_loop_t loop;
  if (uv_loop_init(&loop) != 0) return 1;
  Host host;
  uv_timer_init(&loop, &host.timer);
  host.timer.data = &host;
  uv_timer_start(&host.timer, OnTick, 10, 10);

  host.status = host.jobs.Start();
  host.status.Update(WatchJobs(&loop, host));
  if (!host.status.ok()) return host.jobs.Report(host.status);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  return host.jobs.Report(host.status);
}
