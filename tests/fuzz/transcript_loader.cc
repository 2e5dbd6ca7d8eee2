// A transcript that Parse accepts can be formatted and parsed again, with the
// same result. An error names the line, if there is one. Both formats
// are covered.
//
// The input is the file.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "asyncproc/transcript.h"

namespace asyncproc {
namespace {

using Kind = TranscriptEvent::Kind;

// Compares the fields that == leaves out.
void CheckSameUsage(const Transcript& a, const Transcript& b) {
  for (size_t i = 0; i < a.events.size(); ++i) {
    if (!a.events[i].status.has_value()) continue;
    const ExitStatus& x = *a.events[i].status;
    const ExitStatus& y = *b.events[i].status;
    CHECK_EQ(x.core_dumped(), y.core_dumped());
    CHECK_EQ(x.output_complete(), y.output_complete());
    CHECK(x.usage().user_time == y.usage().user_time);
    CHECK(x.usage().system_time == y.usage().system_time);
    CHECK(x.usage().wall_time == y.usage().wall_time);
    CHECK_EQ(x.usage().max_rss_bytes, y.usage().max_rss_bytes);
  }
}

// The output that a program shows when it plays the transcript.
std::string Shown(const Transcript& transcript) {
  std::string shown;
  for (const TranscriptEvent& event : transcript.events) {
    if (event.kind == Kind::kOut || event.kind == Kind::kErr) {
      shown += event.data;
    }
  }
  return shown;
}

void Try(absl::string_view text) {
  const absl::StatusOr<Transcript> loaded = Transcript::Parse(text);
  if (!loaded.ok()) {
    CHECK(absl::IsInvalidArgument(loaded.status())) << loaded.status();
    CHECK(absl::StartsWith(loaded.status().message(), "line ") ||
          loaded.status().message() == "the recording is empty")
        << loaded.status();
    return;
  }

  const absl::StatusOr<Transcript> again =
      Transcript::Parse(loaded->Format(TranscriptFormat::kJsonLines));
  CHECK(again.ok()) << again.status();
  CHECK(*again == *loaded);
  CheckSameUsage(*loaded, *again);

  // The asciinema format loses some details, but only the first time.
  const std::string cast = loaded->Format(TranscriptFormat::kAsciinema);
  const absl::StatusOr<Transcript> watched = Transcript::Parse(cast);
  CHECK(watched.ok()) << watched.status();
  CHECK(watched->Format(TranscriptFormat::kAsciinema) == cast);
  CHECK_LE(Shown(*watched).size(), 3 * Shown(*loaded).size());
  for (const TranscriptEvent& event : loaded->events) {
    CHECK(!event.ToString().empty());
  }
}

}  // namespace
}  // namespace asyncproc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  asyncproc::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
