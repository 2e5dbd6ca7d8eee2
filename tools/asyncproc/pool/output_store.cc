#include "tools/asyncproc/pool/output_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/asyncproc/os/mutex_lock.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/output.h"

namespace asyncproc::cli {
namespace {

// A smaller hole is not worth a system call.
constexpr uint64_t kWorthAHole = 64 << 10;

std::string DirectoryFor(const OutputStore::Options& options) {
  if (!options.directory.empty()) return options.directory;
  const char* const variable = getenv("TMPDIR");
  return variable != nullptr && *variable != '\0' ? variable : "/tmp";
}

// A file without a name. On file systems without O_TMPFILE it has one briefly.
int OpenNameless(const std::string& directory) {
  UniqueFd fd = OpenFile(directory.c_str(), O_TMPFILE | O_RDWR, 0600);
  if (fd.valid()) return fd.Release();
  std::string name = absl::StrCat(directory, "/asyncproc-pool-XXXXXX");
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) unlink(name.c_str());
  return named;
}

}  // namespace

OutputStore::OutputStore(Options options) : options_(std::move(options)) {}

size_t OutputStore::in_memory() const {
  MutexLock lock(mu_);
  return in_memory_;
}

uint64_t OutputStore::in_file() const {
  MutexLock lock(mu_);
  return in_file_;
}

int OutputStore::file() const {
  MutexLock lock(mu_);
  return file_.get();
}

bool OutputStore::Charge(size_t size) {
  MutexLock lock(mu_);
  in_memory_ += size;
  return in_memory_ > options_.memory_total;
}

void OutputStore::Discharge(size_t size) {
  MutexLock lock(mu_);
  in_memory_ -= size;
}

absl::Status OutputStore::OpenFile() {
  if (file_.get() >= 0) return absl::OkStatus();
  const std::string directory = DirectoryFor(options_);
  file_.Reset(OpenNameless(directory));
  if (file_.get() >= 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      errno, absl::StrCat("a file for output in ", directory, " (see TMPDIR)"));
}

absl::StatusOr<uint64_t> OutputStore::Spill(absl::string_view data) {
  uint64_t offset;
  int fd;
  {
    MutexLock lock(mu_);
    absl::Status status = OpenFile();
    if (!status.ok()) return status;
    fd = file_.get();
    offset = end_;
    end_ += data.size();
    in_file_ += data.size();
  }
  Output file(fd, absl::StrCat("output to a file in ", DirectoryFor(options_)));
  absl::Status status = file.WriteAt(data, static_cast<off_t>(offset));
  if (!status.ok()) {
    Free(offset, data.size());
    return status;
  }
  return offset;
}

void OutputStore::Free(uint64_t offset, uint64_t size) {
  MutexLock lock(mu_);
  in_file_ -= size;
  if (in_file_ == 0) {
    end_ = 0;
    // Space that is not given back is written again.
    if (ftruncate(file_.get(), 0) == 0) return;
  }
  if (size < kWorthAHole) return;
  fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
            size);
}

StoredOutput::StoredOutput(StoredOutput&& other) noexcept
    : store_(other.store_),
      extents_(std::exchange(other.extents_, {})),
      memory_(std::exchange(other.memory_, {})),
      size_(std::exchange(other.size_, 0)),
      ends_line_(std::exchange(other.ends_line_, true)) {}

StoredOutput& StoredOutput::operator=(StoredOutput&& other) noexcept {
  if (this != &other) {
    Clear();
    store_ = other.store_;
    extents_ = std::exchange(other.extents_, {});
    memory_ = std::exchange(other.memory_, {});
    size_ = std::exchange(other.size_, 0);
    ends_line_ = std::exchange(other.ends_line_, true);
  }
  return *this;
}

absl::Status StoredOutput::Append(absl::string_view data) {
  if (data.empty()) return absl::OkStatus();
  const bool crowded = store_->Charge(data.size());
  memory_.append(data.data(), data.size());
  if (crowded || memory_.size() > store_->options_.memory_each) {
    absl::StatusOr<uint64_t> offset = store_->Spill(memory_);
    if (!offset.ok()) {
      memory_.resize(memory_.size() - data.size());
      store_->Discharge(data.size());
      return offset.status();
    }
    if (!extents_.empty() &&
        extents_.back().offset + extents_.back().size == *offset) {
      extents_.back().size += memory_.size();
    } else {
      extents_.push_back({*offset, memory_.size()});
    }
    store_->Discharge(memory_.size());
    memory_ = std::string();
  }
  size_ += data.size();
  ends_line_ = data.back() == '\n';
  return absl::OkStatus();
}

absl::Status StoredOutput::ForEach(
    const std::function<absl::Status(absl::string_view)>& take) const {
  std::string buffer;
  for (const Extent& extent : extents_) {
    buffer.resize(1 << 16);
    for (uint64_t done = 0; done < extent.size;) {
      const size_t wanted =
          std::min<uint64_t>(buffer.size(), extent.size - done);
      const ssize_t size =
          pread(store_->file(), buffer.data(), wanted, extent.offset + done);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) {
        return absl::DataLossError(
            "a temporary file with output of jobs was truncated");
      }
      absl::Status status = take(absl::string_view(buffer.data(), size));
      if (!status.ok()) return status;
      done += size;
    }
  }
  return memory_.empty() ? absl::OkStatus() : take(memory_);
}

void StoredOutput::Clear() {
  for (const Extent& extent : std::exchange(extents_, {})) {
    store_->Free(extent.offset, extent.size);
  }
  if (!memory_.empty()) store_->Discharge(memory_.size());
  memory_ = std::string();
  size_ = 0;
  ends_line_ = true;
}

}  // namespace asyncproc::cli
