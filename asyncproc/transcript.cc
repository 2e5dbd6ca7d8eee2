#include "asyncproc/transcript.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/transcript/asciicast.h"
#include "asyncproc/internal/transcript/json_lines.h"
#include "asyncproc/internal/transcript/json_members.h"
#include "asyncproc/internal/transcript/transcript_detection.h"
#include "asyncproc/internal/transcript/transcript_format.h"
#include "asyncproc/internal/wait/open_file.h"

namespace asyncproc {
namespace {

using internal::TranscriptReader;
using internal::TranscriptWriter;

constexpr size_t kReadSize = 64 * 1024;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(
      errno, absl::StrCat("cannot ", what, " ", internal::Printable(path)));
}

absl::Status AtLine(size_t number, const absl::Status& why) {
  return absl::Status(why.code(),
                      absl::StrCat("line ", number, ": ", why.message()));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  absl::Status interrupted;
  const internal::UniqueFd fd =
      internal::OpenFile(path, O_RDONLY, 0, &interrupted);
  if (!interrupted.ok()) return interrupted;
  if (!fd.valid()) return Failed("open", path);
  std::string text;
  std::string piece(kReadSize, '\0');
  for (;;) {
    const ssize_t count = read(fd.get(), &piece[0], piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed("read", path);
    if (count == 0) return text;
    text.append(piece, 0, static_cast<size_t>(count));
  }
}

absl::Status WriteAll(int fd, absl::string_view bytes,
                      const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

// The permissions for the file of mkstemp: those of the file that it replaces.
mode_t ModeFor(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) return info.st_mode & 0777;
  return 0600;
}

}  // namespace

TranscriptFormat TranscriptFormatOf(absl::string_view path) {
  if (absl::EndsWith(path, ".v3.cast")) return TranscriptFormat::kAsciinema3;
  return absl::EndsWith(path, ".cast") ? TranscriptFormat::kAsciinema
                                       : TranscriptFormat::kJsonLines;
}

std::string Transcript::BytesOf(TranscriptEvent::Kind kind) const {
  std::string bytes;
  for (const TranscriptEvent& event : events) {
    if (event.kind == kind) bytes += event.data;
  }
  return bytes;
}

absl::StatusOr<Transcript> Transcript::Parse(absl::string_view text) {
  Transcript transcript;
  if (text.empty()) {
    return absl::InvalidArgumentError("the recording is empty");
  }
  if (internal::IsAsciicastV1(text)) {
    absl::Status status =
        internal::ReadAsciicastV1(text, &transcript.header, &transcript.events);
    // The file is one JSON object, which begins in the first line.
    if (!status.ok()) return AtLine(1, status);
    return transcript;
  }
  std::unique_ptr<TranscriptReader> reader;
  for (size_t number = 1; number == 1 || !text.empty(); ++number) {
    const absl::string_view line = text.substr(0, text.find('\n'));
    const bool whole = line.size() < text.size();
    if (reader == nullptr) {
      absl::StatusOr<std::unique_ptr<TranscriptReader>> detected =
          internal::DetectTranscript(line);
      if (!detected.ok()) return AtLine(number, detected.status());
      reader = *std::move(detected);
      const absl::Status begun = reader->Begin(line, &transcript.header);
      if (!begun.ok()) return AtLine(number, begun);
    } else {
      TranscriptEvent event;
      absl::StatusOr<bool> read = reader->Read(line, &event);
      // The file of a killed recorder ends within a line.
      const bool cut_off = !whole && !internal::ParseJson(line).ok();
      if (!read.ok() && cut_off) return transcript;
      if (!read.ok()) return AtLine(number, read.status());
      if (*read) transcript.events.push_back(std::move(event));
    }
    text.remove_prefix(line.size() + (whole ? 1 : 0));
  }
  return transcript;
}

absl::StatusOr<Transcript> Transcript::Load(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<Transcript> transcript = Parse(*text);
  if (transcript.ok()) return transcript;
  return absl::Status(transcript.status().code(),
                      absl::StrCat(internal::Printable(path), ": ",
                                   transcript.status().message()));
}

std::string Transcript::Format(TranscriptFormat format) const {
  const std::unique_ptr<TranscriptWriter> writer =
      format == TranscriptFormat::kJsonLines
          ? internal::NewJsonLinesWriter()
          : internal::NewAsciicastWriter(
                format == TranscriptFormat::kAsciinema3 ? 3 : 2);
  std::string text = writer->Begin(header);
  for (const TranscriptEvent& event : events) text += writer->Write(event);
  return text + writer->End();
}

absl::Status Transcript::Save(const std::string& path,
                              TranscriptFormat format) const {
  std::string fresh = absl::StrCat(path, ".XXXXXX");
  internal::UniqueFd fd(mkostemp(&fresh[0], O_CLOEXEC));
  if (!fd.valid()) return Failed("make a file beside", path);
  absl::Cleanup remove = [&fresh] { unlink(fresh.c_str()); };
  absl::Status written = WriteAll(fd.get(), Format(format), fresh);
  if (!written.ok()) return written;
  if (fchmod(fd.get(), ModeFor(path)) < 0 || fsync(fd.get()) < 0) {
    // A full or broken disk may report the error only now.
    return Failed("write", fresh);
  }
  if (rename(fresh.c_str(), path.c_str()) < 0) return Failed("replace", path);
  std::move(remove).Cancel();
  return absl::OkStatus();
}

}  // namespace asyncproc
