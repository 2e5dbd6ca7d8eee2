#include "tools/asyncproc/control_group.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/proc.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

namespace {

// How long killed processes may take to end, and others to be moved.
constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr absl::Duration kPeriod = absl::Milliseconds(5);

bool WriteTo(const std::string& path, absl::string_view text) {
  const UniqueFd file = OpenFile(path.c_str(), O_WRONLY);
  return file.valid() && write(file.get(), text.data(), text.size()) ==
                             static_cast<ssize_t>(text.size());
}

// The folder of the group of this process; empty if the system has no cgroup of
// version 2.
std::string OwnGroup() {
  std::string own;
  for (absl::string_view line :
       absl::StrSplit(ReadProcFile("/proc/self/cgroup"), '\n')) {
    if (absl::ConsumePrefix(&line, "0::")) own = std::string(line);
  }
  if (own.empty()) return "";
  for (const absl::string_view line :
       absl::StrSplit(ReadProcFile("/proc/self/mountinfo"), '\n')) {
    if (!absl::StrContains(line, " - cgroup2 ")) continue;
    // 41 31 0:38 ROOT MOUNT_POINT rw - cgroup2 cgroup2 rw
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    std::string mount;
    absl::string_view below = own;
    // A blank in a name is \040.
    if (!absl::CUnescape(words[4], &mount)) continue;
    if (words[3] != "/" && !absl::ConsumePrefix(&below, words[3])) continue;
    const std::string path = absl::StrCat(mount, below == "/" ? "" : below);
    if (access(absl::StrCat(path, "/cgroup.procs").c_str(), F_OK) == 0) {
      return path;
    }
  }
  return "";
}

absl::Status Refused(absl::string_view what) {
  const absl::Status why = absl::ErrnoToStatus(errno, what);
  return absl::Status(
      why.code(),
      absl::StrCat(
          "--cgroup: ", why.message(),
          "; systemd-run --user --scope -p Delegate=yes runs asyncproc "
          "in a group in which it may"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlGroup>> ControlGroup::EnterIf(
    bool wanted) {
  if (!wanted) return nullptr;
  const std::string outer = OwnGroup();
  if (outer.empty()) {
    return absl::FailedPreconditionError(
        "--cgroup: the system has no cgroup of version 2");
  }
  std::string path = absl::StrCat(outer, "/asyncproc-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) {
    return Refused(absl::StrCat("cannot make a group in ", outer));
  }
  auto group = absl::WrapUnique(new ControlGroup(outer, path));
  if (access(absl::StrCat(path, "/cgroup.kill").c_str(), W_OK) != 0) {
    return absl::FailedPreconditionError(
        "--cgroup: the kernel has no cgroup.kill, which Linux 5.14 has");
  }
  if (!WriteTo(absl::StrCat(path, "/cgroup.procs"), "0")) {
    return Refused(absl::StrCat("cannot move to ", path));
  }
  return group;
}

ControlGroup::ControlGroup(std::string outer, std::string path)
    : outer_(std::move(outer)), path_(std::move(path)) {}

ControlGroup::~ControlGroup() {
  const absl::Time start = MonotonicNow();
  Leave();
  // A process that is moved may have just forked.
  while (!Remove() && MonotonicNow() - start < kPatience) {
    for (absl::string_view pid :
         absl::StrSplit(ReadProcFile(absl::StrCat(path_, "/cgroup.procs")),
                        '\n', absl::SkipEmpty())) {
      WriteTo(absl::StrCat(outer_, "/cgroup.procs"), pid);
    }
    absl::SleepFor(kPeriod);
  }
}

void ControlGroup::Leave() const {
  WriteTo(absl::StrCat(outer_, "/cgroup.procs"), "0");
}

void ControlGroup::KillAll() const {
  WriteTo(absl::StrCat(path_, "/cgroup.kill"), "1");
  const absl::Time start = MonotonicNow();
  while (!Remove() && MonotonicNow() - start < kPatience) {
    absl::SleepFor(kPeriod);
  }
}

bool ControlGroup::Remove() const {
  return rmdir(path_.c_str()) == 0 || errno == ENOENT;
}

}  // namespace asyncproc::cli
