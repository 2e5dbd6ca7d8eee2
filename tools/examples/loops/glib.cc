// Children in a GMainLoop of GLib, as GTK has it, beside its timer.

#include <glib-unix.h>
#include <glib.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/examples/loops/jobs.h"

namespace {

struct Host {
  GMainLoop* loop = nullptr;
  Jobs jobs;
  absl::Status status;
};

gboolean OnTick(gpointer host) {
  static_cast<Host*>(host)->jobs.CountTick();
  return G_SOURCE_CONTINUE;
}

// The glue: when jobs.fd() is readable, Poll handles what has happened. It
// returns kDeadlineExceeded while children run.
gboolean OnReadable(gint, GIOCondition, gpointer data) {
  Host& host = *static_cast<Host*>(data);
  host.status = host.jobs.Poll(absl::ZeroDuration());
  if (absl::IsDeadlineExceeded(host.status)) return G_SOURCE_CONTINUE;
  g_main_loop_quit(host.loop);
  return G_SOURCE_REMOVE;
}

absl::Status WatchJobs(Host& host) {
  absl::StatusOr<int> fd = host.jobs.fd();
  if (fd.ok()) g_unix_fd_add(*fd, G_IO_IN, OnReadable, &host);
  return fd.status();
}
// The end of the glue.

}  // namespace

int main() {
  Host host;
  host.loop = g_main_loop_new(nullptr, FALSE);
  const guint timer = g_timeout_add(10, OnTick, &host);

  host.status = host.jobs.Start();
  host.status.Update(WatchJobs(host));
  if (!host.status.ok()) return host.jobs.Report(host.status);
  g_main_loop_run(host.loop);
  g_source_remove(timer);
  g_main_loop_unref(host.loop);
  return host.jobs.Report(host.status);
}
