// A stream has the lines of its whole text, however it is split into pieces and
// whenever the lines are read.
//
// The input is a list of pieces, each after a control byte: the low 6 bits are
// the length, 0x40 looks for a line, and 0x80 reads all lines.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/output_bound.h"
#include "tests/fuzz/input.h"

namespace asyncproc {
namespace {

using internal::OutputBuffer;

// The documented rule: "\n" and "\r\n" end a line, and so does end-of-file.
std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : text) {
    if (c != '\n') {
      line += c;
      continue;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line);
    line.clear();
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

void ReadLines(OutputBuffer& buffer, OutputBuffer::CursorRef cursor,
               std::vector<std::string>* lines) {
  for (;;) {
    const bool has_line = buffer.HasLine(cursor);
    std::string line;
    const absl::Status status =
        buffer.ReadLine(cursor, &line, absl::InfinitePast());
    CHECK_EQ(status.ok(), has_line);
    if (!has_line) {
      CHECK(buffer.AtEnd(cursor) ? absl::IsOutOfRange(status)
                                 : absl::IsDeadlineExceeded(status));
      return;
    }
    lines->push_back(std::move(line));
  }
}

void Try(Input input) {
  OutputBuffer buffer(OutputBound::Unbounded());
  const OutputBuffer::CursorRef eager = buffer.AddCursor(true);
  const OutputBuffer::CursorRef late = buffer.AddCursor(true);
  std::string text;
  std::vector<std::string> lines;
  while (!input.empty()) {
    const uint8_t control = input.Byte();
    const absl::string_view piece = input.Characters(control & 0x3f);
    buffer.Append(piece);
    text += piece;
    if ((control & 0x40) != 0) buffer.HasLine(eager);
    if ((control & 0x80) != 0) ReadLines(buffer, eager, &lines);
  }
  // All lines except the last, which may be incomplete.
  ReadLines(buffer, eager, &lines);
  buffer.Finish();
  ReadLines(buffer, eager, &lines);
  std::vector<std::string> late_lines;
  ReadLines(buffer, late, &late_lines);

  const std::vector<std::string> expected = LinesOf(text);
  CHECK(lines == expected);
  CHECK(late_lines == expected);
  CHECK_EQ(buffer.lines(eager), expected.size());
  CHECK(buffer.AtEnd(eager));
}

}  // namespace
}  // namespace asyncproc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  asyncproc::Try(asyncproc::Input(data, size));
  return 0;
}
