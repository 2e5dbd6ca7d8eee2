#include "tools/asyncproc/pool/job_values.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {
namespace {

UniqueFd OpenInput(const std::string& path) {
  return path.empty() || path == "-"
             ? UniqueFd(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3))
             : OpenFile(path.c_str(), O_RDONLY);
}

// For messages.
std::string NameOf(const std::string& path) {
  return path.empty() || path == "-" ? "stdin" : path;
}

// All values in a file.
absl::StatusOr<std::vector<std::string>> ReadValues(const std::string& path,
                                                    char end) {
  const UniqueFd fd = OpenInput(path);
  if (!fd.valid()) return absl::ErrnoToStatus(errno, NameOf(path));
  std::vector<std::string> values;
  std::string value;
  std::string buffer(1 << 16, '\0');
  for (;;) {
    const ssize_t size = read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, NameOf(path));
    if (size == 0) break;
    absl::string_view data(buffer.data(), static_cast<size_t>(size));
    for (;;) {
      const auto whole = TakeValue(&data, end, NameOf(path), &value);
      if (!whole.ok()) return whole.status();
      if (!*whole) break;
      values.push_back(std::exchange(value, std::string()));
    }
  }
  if (!value.empty()) values.push_back(std::move(value));
  return values;
}

bool IsSeparator(const std::string& word) {
  return word == ":::" || word == ":::+" || word == "::::" || word == "::::+";
}

// The number of lists whose values come from stdin.
size_t ListsOnStdin(const std::vector<std::string>& words,
                    const std::string& file) {
  size_t count = file == "-" ? 1 : 0;
  bool are_files = false;
  for (const std::string& word : words) {
    if (IsSeparator(word)) {
      are_files = absl::StartsWith(word, "::::");
    } else if (are_files && word == "-") {
      ++count;
    }
  }
  return count;
}

}  // namespace

absl::StatusOr<JobWords> SplitWords(const std::vector<std::string>& words,
                                    JobWords result) {
  if (ListsOnStdin(words, result.file) > 1) {
    return absl::InvalidArgumentError(
        "- can be given only once: the values on stdin are one list");
  }
  auto at = std::find_if(words.begin(), words.end(), IsSeparator);
  result.command =
      absl::StrJoin(std::vector<std::string>(words.begin(), at), " ");
  // The values of one file are read as the jobs need them.
  if (result.file.empty() && std::distance(at, words.end()) == 2 &&
      *at == "::::" && !at[1].empty() && !IsSeparator(at[1])) {
    result.file = at[1];
    return result;
  }
  if (at != words.end() && !result.file.empty()) {
    auto values = ReadValues(result.file, result.end);
    if (!values.ok()) return values.status();
    result.lists.push_back({*std::move(values)});
  }
  while (at != words.end()) {
    const std::string& separator = *at;
    const auto next = std::find_if(std::next(at), words.end(), IsSeparator);
    std::vector<std::vector<std::string>> given;
    if (absl::StartsWith(separator, "::::")) {
      for (auto path = std::next(at); path != next; ++path) {
        if (path->empty()) {
          return absl::InvalidArgumentError(absl::StrCat(
              "the name of a file after ", separator, " is empty"));
        }
        auto values = ReadValues(*path, result.end);
        if (!values.ok()) return values.status();
        given.push_back(*std::move(values));
      }
    } else {
      given.emplace_back(std::next(at), next);
    }
    for (std::vector<std::string>& list : given) {
      if (!absl::EndsWith(separator, "+")) {
        result.lists.push_back({std::move(list)});
      } else if (result.lists.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat(separator, " has no list before it to be linked to"));
      } else {
        result.lists.back().push_back(std::move(list));
      }
    }
    at = next;
  }
  if (result.values_each > 1 &&
      (result.lists.size() > 1 ||
       (result.lists.size() == 1 && result.lists[0].size() > 1))) {
    return absl::InvalidArgumentError(
        "--max-replace-args is for one list of values");
  }
  return result;
}

absl::StatusOr<std::unique_ptr<JobSource>> MakeSource(
    JobWords* words, std::function<void()> wake) {
  std::unique_ptr<JobSource> source;
  if (!words->lists.empty()) {
    source = std::make_unique<ProductSource>(std::move(words->lists));
  } else {
    UniqueFd fd = OpenInput(words->file);
    const std::string name = NameOf(words->file);
    if (!fd.valid()) return absl::ErrnoToStatus(errno, name);
    if (isatty(fd.get()) == 1) {
      Complain(
          "pool",
          absl::StrCat("reads ", words->command.empty() ? "commands" : "values",
                       " from the terminal, one in a line; "
                       "Ctrl-D ends them"));
    }
    auto lines =
        LineSource::Create(std::move(fd), name, std::move(wake), words->end);
    if (!lines.ok()) return lines.status();
    source = *std::move(lines);
  }
  if (words->values_each < 2) return source;
  return std::make_unique<GroupingSource>(std::move(source),
                                          words->values_each);
}

}  // namespace asyncproc::cli
