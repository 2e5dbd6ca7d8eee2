#include "tools/asyncproc/pool/results_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace asyncproc::cli {
namespace {

// Leaves room for a hash and a number.
constexpr size_t kLongestName = NAME_MAX - 50;

// The same in every run, unlike absl::Hash: FNV-1a.
uint64_t Digest(absl::string_view text) {
  uint64_t digest = 0xcbf29ce484222325;
  for (const unsigned char c : text) digest = (digest ^ c) * 0x100000001b3;
  return digest;
}

absl::Status MakeDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0777) != 0 && errno != EEXIST) {
      return absl::ErrnoToStatus(errno, part);
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

absl::StatusOr<Output> OpenNew(const std::string& path) {
  return Output::Open(path, O_WRONLY | O_TRUNC | O_APPEND);
}

}  // namespace

std::string ResultName(absl::string_view value) {
  if (value.empty()) return "\\e";
  if (value == "." || value == "..") return absl::StrCat("\\", value);
  std::string name =
      absl::StrReplaceAll(value, {{"\\", "\\\\"},
                                  {"/", "\\_"},
                                  {"\t", "\\t"},
                                  {absl::string_view("\0", 1), "\\0"}});
  if (name.size() <= kLongestName) return name;
  return absl::StrCat(name.substr(0, kLongestName), "\\~",
                      absl::Hex(Digest(value), absl::kZeroPad16));
}

absl::StatusOr<ResultsDirectory> ResultsDirectory::Create(
    const std::string& path) {
  absl::Status status = MakeDirectories(path);
  if (!status.ok()) return status;
  return ResultsDirectory(path);
}

std::string ResultsDirectory::PathFor(int64_t number,
                                      const std::vector<std::string>& values) {
  std::string path = path_;
  for (size_t i = 0; i < values.size(); ++i) {
    absl::StrAppend(&path, "/", i + 1, "/", ResultName(values[i]));
  }
  const int64_t owner =
      owners_.try_emplace(absl::HashOf(path), number).first->second;
  if (owner != number) absl::StrAppend(&path, "\\~", number);
  return path;
}

absl::StatusOr<ResultFiles> ResultsDirectory::Open(
    int64_t number, const std::vector<std::string>& values) {
  const std::string path = PathFor(number, values);
  absl::Status status = MakeDirectories(path);
  if (!status.ok()) return status;
  absl::StatusOr<Output> seq = OpenNew(absl::StrCat(path, "/seq"));
  if (!seq.ok()) return seq.status();
  status = seq->Write(absl::StrCat(number));
  if (status.ok()) status = seq->Close();
  if (!status.ok()) return status;
  absl::StatusOr<Output> out = OpenNew(absl::StrCat(path, "/stdout"));
  if (!out.ok()) return out.status();
  absl::StatusOr<Output> err = OpenNew(absl::StrCat(path, "/stderr"));
  if (!err.ok()) return err.status();
  return ResultFiles{*std::move(out), *std::move(err)};
}

}  // namespace asyncproc::cli
