#include "asyncproc/internal/proc/listeners.h"

#include <errno.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "asyncproc/internal/proc/proc_file.h"
#include "asyncproc/internal/proc/proc_fs.h"

namespace asyncproc::internal {
namespace {

std::vector<absl::string_view> Words(absl::string_view line) {
  return absl::StrSplit(line, ' ', absl::SkipEmpty());
}

void AddInode(absl::string_view text, std::set<ino_t>* inodes) {
  uint64_t inode;
  if (absl::SimpleAtoi(text, &inode) && inode != 0) {
    inodes->insert(static_cast<ino_t>(inode));
  }
}

// Reads a table like /proc/net/tcp: "0: 0100007F:1F90 00000000:0000 0A ...
// INODE".
void AddListeners(const std::string& table, int port, std::set<ino_t>* found) {
  constexpr size_t kLocal = 1, kState = 3, kInode = 9;
  for (absl::string_view line : absl::StrSplit(table, '\n')) {
    const std::vector<absl::string_view> words = Words(line);
    if (words.size() <= kInode || words[kState] != "0A") continue;
    const size_t colon = words[kLocal].rfind(':');
    int local = 0;
    if (colon != absl::string_view::npos &&
        absl::SimpleHexAtoi(words[kLocal].substr(colon + 1), &local) &&
        local == port) {
      AddInode(words[kInode], found);
    }
  }
}

// Whether the numbers in /proc are those of this process's own PID namespace.
bool IsProcOurs() {
  char link[32] = {};
  const ssize_t size = readlink("/proc/self", link, sizeof(link) - 1);
  return size > 0 && absl::StrCat(getpid()) == link;
}

std::set<pid_t> FamilyOf(pid_t child, const std::vector<ProcessStat>& all) {
  std::set<pid_t> family = {child};
  for (size_t before = 0; before != family.size();) {
    before = family.size();
    for (const ProcessStat& stat : all) {
      if (family.count(stat.parent) > 0 || stat.group == child ||
          stat.session == child) {
        family.insert(stat.pid);
      }
    }
  }
  return family;
}

// Whether the process has one of `targets` open; nothing when its descriptors
// are not visible to this process.
std::optional<bool> Has(pid_t pid, const std::set<std::string>& targets) {
  const std::string directory = absl::StrCat("/proc/", pid, "/fd");
  if (access(directory.c_str(), R_OK) < 0) return std::nullopt;
  const absl::StatusOr<std::vector<int>> fds = ListNumbers(directory);
  if (!fds.ok()) return std::nullopt;
  for (int fd : *fds) {
    char link[64] = {};
    const std::string path = absl::StrCat(directory, "/", fd);
    const ssize_t size = readlink(path.c_str(), link, sizeof(link) - 1);
    if (size < 0 && errno == EACCES) return std::nullopt;
    if (size > 0 && targets.count(link) > 0) return true;
  }
  return false;
}

}  // namespace

std::set<ino_t> ListenersOnPort(int port) {
  std::set<ino_t> found;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    AddListeners(ReadFile(table), port, &found);
  }
  return found;
}

std::set<ino_t> ListenersAtPath(absl::string_view path) {
  // "ADDRESS: REFERENCES PROTOCOL FLAGS TYPE STATE INODE PATH"
  constexpr size_t kFlags = 3, kInode = 6;
  constexpr absl::string_view kListens = "00010000";
  std::set<ino_t> found;
  const std::string table = ReadFile("/proc/self/net/unix");
  for (absl::string_view line : absl::StrSplit(table, '\n')) {
    if (!absl::EndsWith(line, absl::StrCat(" ", path))) continue;
    const std::vector<absl::string_view> words = Words(line);
    if (words.size() <= kInode || words[kFlags] != kListens) continue;
    // The path may contain spaces, too.
    const size_t behind = static_cast<size_t>(
        words[kInode].data() + words[kInode].size() - line.data());
    if (line.substr(behind + 1) == path) AddInode(words[kInode], &found);
  }
  return found;
}

SocketOwner FindSocketOwner(const std::set<ino_t>& sockets, pid_t child) {
  SocketOwner owner;
  if (sockets.empty() || !IsProcOurs()) return owner;
  std::set<std::string> targets;
  for (ino_t socket : sockets) {
    targets.insert(absl::StrCat("socket:[", socket, "]"));
  }
  const absl::StatusOr<std::vector<ProcessStat>> all = ListProcesses();
  if (!all.ok()) return owner;
  const std::set<pid_t> family = FamilyOf(child, *all);
  bool all_seen = true;
  for (pid_t pid : family) {
    const std::optional<bool> has = Has(pid, targets);
    if (has == true) {
      owner.kind = SocketOwner::Kind::kFamily;
      return owner;
    }
    if (!has.has_value()) all_seen = false;
  }
  if (!all_seen) return owner;
  for (const ProcessStat& stat : *all) {
    if (family.count(stat.pid) > 0 || Has(stat.pid, targets) != true) continue;
    owner.kind = SocketOwner::Kind::kOther;
    owner.pid = stat.pid;
    owner.command = stat.command;
    break;
  }
  return owner;
}

}  // namespace asyncproc::internal
