#include "tools/asyncproc/os/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

namespace {

void AddChildren(const std::string& process, std::vector<pid_t>* children) {
  for (int task : ProcNumbers(absl::StrCat(process, "/task"))) {
    const std::string list =
        ReadProcFile(absl::StrCat(process, "/task/", task, "/children"));
    for (absl::string_view name :
         absl::StrSplit(list, ' ', absl::SkipWhitespace())) {
      pid_t pid;
      if (absl::SimpleAtoi(name, &pid)) children->push_back(pid);
    }
  }
}

}  // namespace

bool ProcIsOurs() {
  char self[32];
  const ssize_t size = readlink("/proc/self", self, sizeof(self));
  return size > 0 && absl::string_view(self, static_cast<size_t>(size)) ==
                         absl::StrCat(getpid());
}

std::string ReadProcFile(const std::string& path) {
  const UniqueFd fd = OpenFile(path.c_str(), O_RDONLY);
  if (!fd.valid()) return "";
  std::string text;
  char bytes[4096];
  while (true) {
    const ssize_t size = read(fd.get(), bytes, sizeof(bytes));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(bytes, static_cast<size_t>(size));
  }
}

std::vector<int> ProcNumbers(const std::string& folder) {
  std::vector<int> numbers;
  DIR* const listing = opendir(folder.c_str());
  if (listing == nullptr) return numbers;
  while (const dirent* entry = readdir(listing)) {
    int number;
    if (absl::SimpleAtoi(entry->d_name, &number)) numbers.push_back(number);
  }
  closedir(listing);
  return numbers;
}

std::vector<pid_t> OwnChildren() {
  std::vector<pid_t> children;
  if (ProcIsOurs()) AddChildren("/proc/self", &children);
  return children;
}

std::vector<pid_t> TreeOf(pid_t pid) {
  std::vector<pid_t> tree = {pid};
  if (!ProcIsOurs()) return tree;
  for (size_t i = 0; i < tree.size(); ++i) {
    AddChildren(absl::StrCat("/proc/", tree[i]), &tree);
  }
  return tree;
}

std::string ProcName(pid_t pid) {
  const std::string name = ReadProcFile(absl::StrCat("/proc/", pid, "/comm"));
  return std::string(absl::StripSuffix(name, "\n"));
}

bool HasInEnvironment(pid_t pid, absl::string_view name,
                      absl::string_view text) {
  const std::string environment =
      ReadProcFile(absl::StrCat("/proc/", pid, "/environ"));
  for (absl::string_view variable : absl::StrSplit(environment, '\0')) {
    if (absl::ConsumePrefix(&variable, name) &&
        absl::ConsumePrefix(&variable, "=")) {
      return absl::StrContains(variable, text);
    }
  }
  return false;
}

}  // namespace asyncproc::cli
