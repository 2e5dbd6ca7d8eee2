#include "asyncproc/internal/spawn/start_error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/path_search.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/resource_name.h"

namespace asyncproc::internal {
namespace {

// The maximum number of bytes of a name in a message.
constexpr size_t kMostShown = 1000;
// The maximum number of directories of a PATH in a message, and of their bytes.
constexpr size_t kMostDirectories = 6;
constexpr size_t kMostOfPath = 300;

// "/usr/local/bin:/usr/bin:/bin", or the beginning of a longer PATH and the
// number of its directories.
std::string ShownPath(absl::string_view path) {
  std::vector<absl::string_view> directories = absl::StrSplit(path, ':');
  const size_t count = directories.size();
  if (count <= kMostDirectories) return Printable(path, kMostOfPath);
  directories.resize(kMostDirectories);
  return absl::StrCat(Printable(absl::StrJoin(directories, ":"), kMostOfPath),
                      ":... (", count, " directories)");
}

// The remedy for a failure by a limit; empty for any other failure.
absl::string_view Remedy(int error_number) {
  switch (error_number) {
    case EAGAIN:
      return "; end other processes or threads, or raise the limit of them "
             "(ulimit -u)";
    case EMFILE:
      return "; close other descriptors, or raise the limit of them (ulimit "
             "-n)";
    default:
      return "";
  }
}

// The start of `file`, as many bytes as a kernel reads to find an interpreter.
std::string FirstBytes(const std::string& file) {
  const UniqueFd fd = OpenAboveStdio(file.c_str(), O_RDONLY | O_NONBLOCK);
  char bytes[256];
  const ssize_t size =
      fd.valid() ? GetOs().Read(fd.get(), bytes, sizeof(bytes)) : 0;
  return std::string(bytes, size > 0 ? static_cast<size_t>(size) : 0);
}

// For an existing file that exec reports as missing: its interpreter, named
// after "#!" or inside the file, does not exist.
std::string MissingInterpreter(const Command& command,
                               const std::vector<std::string>& candidates) {
  for (const std::string& candidate : candidates) {
    const std::string file =
        candidate[0] == '/' || command.working_directory.empty()
            ? candidate
            : absl::StrCat(command.working_directory, "/", candidate);
    if (access(file.c_str(), F_OK) < 0) continue;
    std::string first_line = FirstBytes(file);
    first_line.resize(std::min(first_line.find('\n'), first_line.size()));
    absl::string_view interpreter = first_line;
    const bool named = absl::ConsumePrefix(&interpreter, "#!");
    return absl::StrCat(
        " (", ShownWord(candidate), " is there, but its interpreter ",
        named ? absl::StrCat("\"", Printable(interpreter, kMostShown),
                             "\" is not)")
              : "is not)");
  }
  return "";
}

std::string WhatExecRefused(const Command& command, const SpawnRequest& request,
                            const SpawnResult& result,
                            const std::optional<std::string>& path) {
  const std::string& program = ProgramOf(command);
  std::string what = absl::StrCat("exec of ", ShownWord(program));
  if (!absl::StrContains(program, '/')) {
    if (!result.refused.empty()) {
      absl::StrAppend(&what, ", found as ", ShownWord(result.refused));
    }
    absl::StrAppend(&what, ", searched for in PATH=",
                    ShownPath(path.value_or(std::string(kDefaultPath))));
  }
  if (result.failure.error_number == ENOENT) {
    absl::StrAppend(&what, MissingInterpreter(command, request.candidates));
  }
  return what;
}

// The user's remedy when exec refuses a program; empty when there is none.
absl::string_view RemedyOfExec(const Command& command,
                               const SpawnRequest& request,
                               const SpawnResult& result) {
  if (result.failure.stage != SpawnStage::kExec) return "";
  switch (result.failure.error_number) {
    case ENOENT:
      return absl::StrContains(ProgramOf(command), '/') ||
                     !MissingInterpreter(command, request.candidates).empty()
                 ? ""
                 : "; install it, or add its folder to PATH";
    case EACCES:
      return "; is it an executable file (chmod +x)?";
    case ENOEXEC:
      return "; if it is a script, give it a first line like #!/bin/sh";
    default:
      return "";
  }
}

std::string WhatFailedInChild(const Command& command,
                              const SpawnRequest& request,
                              const SpawnResult& result,
                              const std::optional<std::string>& path) {
  const absl::string_view stage = SpawnStageName(result.failure.stage);
  switch (result.failure.stage) {
    case SpawnStage::kProcessGroup:
      return absl::StrCat(stage, " to ", request.process_group.value_or(0));
    case SpawnStage::kRlimits:
      return absl::StrCat(stage, " of ", ResourceName(result.refused_resource));
    case SpawnStage::kNice:
      return absl::StrCat(stage, " to ", request.nice.value_or(0));
    case SpawnStage::kGroup:
      return absl::StrCat(stage, " to ", request.gid.value_or(0));
    case SpawnStage::kGroups:
      return absl::StrCat(
          stage, " to [",
          absl::StrJoin(request.groups.value_or(std::vector<gid_t>()), " "),
          "]");
    case SpawnStage::kUser:
      return absl::StrCat(stage, " to ", request.uid.value_or(0));
    case SpawnStage::kDirectory:
      return absl::StrCat(stage, " to ", ShownWord(command.working_directory));
    case SpawnStage::kExec:
      return WhatExecRefused(command, request, result, path);
    default:
      return std::string(stage);
  }
}

}  // namespace

std::string ShownWord(absl::string_view word) {
  return PrintableWord(word, kMostShown);
}

const std::string& ProgramOf(const Command& command) {
  return command.executable.empty() ? command.argv[0] : command.executable;
}

absl::Status CannotStart(const Command& command, const absl::Status& why) {
  const std::optional<SpawnFailure> failure = GetSpawnFailure(why);
  absl::Status status(
      why.code(),
      absl::StrCat(
          "cannot start ",
          command.argv.empty() ? "a command" : ShownWord(command.argv[0]), ": ",
          why.message(),
          failure.has_value() ? Remedy(failure->error_number) : ""));
  if (failure.has_value()) SetSpawnFailure(*failure, &status);
  return status;
}

absl::Status StartFailed(const Command& command, SpawnFailure failure,
                         absl::string_view action, absl::string_view remedy) {
  const absl::Status why = absl::ErrnoToStatus(failure.error_number, action);
  // EAGAIN: the limit of processes. absl would return kUnavailable.
  absl::Status status(failure.error_number == EAGAIN
                          ? absl::StatusCode::kResourceExhausted
                          : why.code(),
                      absl::StrCat(why.message(), remedy));
  SetSpawnFailure(failure, &status);
  return CannotStart(command, status);
}

absl::Status StartFailed(const Command& command, SpawnStage stage,
                         const absl::Status& status) {
  const SpawnFailure cause = GetSpawnFailure(status).value_or(SpawnFailure());
  absl::Status failed = status;
  SetSpawnFailure({stage, cause.error_number}, &failed);
  return CannotStart(command, failed);
}

absl::Status ChildFailed(const Command& command, const SpawnRequest& request,
                         const SpawnResult& result,
                         const std::optional<std::string>& path) {
  return StartFailed(command, result.failure,
                     WhatFailedInChild(command, request, result, path),
                     RemedyOfExec(command, request, result));
}

}  // namespace asyncproc::internal
