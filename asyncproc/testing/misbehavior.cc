#include "asyncproc/testing/misbehavior.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace asyncproc {
namespace {

constexpr char kVariable[] = "ASYNCPROC_MISBEHAVE";
constexpr absl::string_view kProgram = "asyncproc/testing/misbehave";

int64_t Millis(absl::Duration time) { return absl::ToInt64Milliseconds(time); }

// The directories where Bazel may have put the data of this program: each has a
// folder for every repository.
std::vector<std::string> RunfilesRoots() {
  std::vector<std::string> roots;
  for (const char* const variable : {"TEST_SRCDIR", "RUNFILES_DIR"}) {
    const char* const root = getenv(variable);
    if (root != nullptr) roots.push_back(root);
  }
  char self[4096];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof(self));
  if (size > 0) {
    const absl::string_view path(self, static_cast<size_t>(size));
    roots.push_back(absl::StrCat(path, ".runfiles"));
  }
  return roots;
}

// The name of the repository in Bazel varies, so all repositories are searched.
std::string FindIn(const std::string& root) {
  DIR* const folder = opendir(root.c_str());
  if (folder == nullptr) return "";
  absl::Cleanup close = [folder] { closedir(folder); };
  while (const dirent* const entry = readdir(folder)) {
    const std::string path =
        absl::StrCat(root, "/", entry->d_name, "/", kProgram);
    if (entry->d_name[0] != '.' && access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace

Misbehavior& Misbehavior::Add(std::string action) {
  actions_.push_back(std::move(action));
  return *this;
}

Misbehavior& Misbehavior::Say(absl::string_view text) {
  return Add(absl::StrCat("say=", absl::CEscape(text)));
}

Misbehavior& Misbehavior::Print(absl::string_view text) {
  return Add(absl::StrCat("print=", absl::CEscape(text)));
}

Misbehavior& Misbehavior::Complain(absl::string_view text) {
  return Add(absl::StrCat("complain=", absl::CEscape(text)));
}

Misbehavior& Misbehavior::Dribble(absl::string_view text,
                                  absl::Duration pause) {
  return Add(absl::StrCat("dribble=", Millis(pause), ",", absl::CEscape(text)));
}

Misbehavior& Misbehavior::SplitUtf8(absl::string_view text,
                                    absl::Duration pause) {
  return Add(absl::StrCat("split=", Millis(pause), ",", absl::CEscape(text)));
}

Misbehavior& Misbehavior::Flood(size_t bytes) {
  return Add(absl::StrCat("flood=", bytes));
}

Misbehavior& Misbehavior::AwaitCue() { return Add("await"); }

Misbehavior& Misbehavior::Echo() { return Add("echo"); }

Misbehavior& Misbehavior::CloseStdin() { return Add("close=0"); }

Misbehavior& Misbehavior::CloseStdout() { return Add("close=1"); }

Misbehavior& Misbehavior::CloseStderr() { return Add("close=2"); }

Misbehavior& Misbehavior::Ignore(int signal) {
  return Add(absl::StrCat("ignore=", signal));
}

Misbehavior& Misbehavior::LeavePipeHolder(absl::Duration time) {
  return Add(absl::StrCat("hold=", Millis(time)));
}

Misbehavior& Misbehavior::Sleep(absl::Duration time) {
  return Add(absl::StrCat("sleep=", Millis(time)));
}

Misbehavior& Misbehavior::Hang() { return Add("hang"); }

Misbehavior& Misbehavior::Exit(int code) {
  return Add(absl::StrCat("exit=", code));
}

Misbehavior& Misbehavior::Die(int signal) {
  return Add(absl::StrCat("die=", signal));
}

absl::StatusOr<Command> Misbehavior::Build() const {
  if (const char* const path = getenv(kVariable); path != nullptr) {
    return BuildWith(path);
  }
  const std::vector<std::string> roots = RunfilesRoots();
  for (const std::string& root : roots) {
    const std::string path = FindIn(root);
    if (!path.empty()) return BuildWith(path);
  }
  // Only for a program that was moved away from its runfiles.
  return absl::NotFoundError(
      absl::StrCat("there is no ", kProgram, " in a folder of ",
                   absl::StrJoin(roots, ", "), "; ", kVariable, " is not set"));
}

Command Misbehavior::BuildWith(const std::string& path) const {
  std::vector<std::string> argv = {path};
  argv.insert(argv.end(), actions_.begin(), actions_.end());
  return Command(std::move(argv));
}

}  // namespace asyncproc
