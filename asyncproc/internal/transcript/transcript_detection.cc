#include "asyncproc/internal/transcript/transcript_detection.h"

#include "absl/status/status.h"
#include "asyncproc/internal/transcript/asciicast.h"
#include "asyncproc/internal/transcript/json_lines.h"
#include "asyncproc/internal/transcript/json_members.h"

namespace asyncproc::internal {

absl::StatusOr<std::unique_ptr<TranscriptReader>> DetectTranscript(
    absl::string_view first_line) {
  const absl::StatusOr<Json> line = ParseJson(first_line);
  if (!line.ok()) return line.status();
  const JsonMembers members(*line);
  if (members.Has("transcript")) return NewJsonLinesReader();
  if (members.Has("version")) return NewAsciicastReader();
  return absl::InvalidArgumentError(
      "is no header of a transcript, nor of an asciicast");
}

}  // namespace asyncproc::internal
