#include "asyncproc/framing.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

using internal::DeadlineAfter;
using internal::MonotonicNow;
using internal::Prefixed;

namespace {

constexpr char kCannot[] = "cannot read a message";
constexpr char kLength[] = "content-length";
constexpr size_t kMostQuoted = 80;

// Real messages have fewer headers: more of them are some other text.
constexpr size_t kMostHeaders = 100;
constexpr size_t kMostHeaderBytes = 64 * 1024;

// The most other text to skip after the deadline, in search of a message that
// has arrived already.
constexpr size_t kMostSkippedLate = 64 * 1024;

std::string Quote(absl::string_view text) {
  const bool cut = text.size() > kMostQuoted;
  return absl::StrCat("\"", internal::Printable(text.substr(0, kMostQuoted)),
                      cut ? "\"..." : "\"");
}

// Of a header name, by RFC 9110.
bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(c) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) !=
             absl::string_view::npos;
}

// The start of "Content-Length: " in a line that ends with it and digits.
size_t FindLength(absl::string_view line) {
  line = absl::StripTrailingAsciiWhitespace(line);
  size_t at = line.size();
  while (at > 0 && absl::ascii_isdigit(line[at - 1])) --at;
  if (at == line.size()) return absl::string_view::npos;
  while (at > 0 && (line[at - 1] == ' ' || line[at - 1] == '\t')) --at;
  const size_t size = sizeof(kLength);  // With the colon.
  if (at < size || line[at - 1] != ':' ||
      !absl::EqualsIgnoreCase(line.substr(at - size, size - 1), kLength)) {
    return absl::string_view::npos;
  }
  return at - size;
}

}  // namespace

absl::StatusOr<std::string> ReadNulRecord(OutputCursor& cursor,
                                          absl::Duration timeout) {
  absl::StatusOr<std::string> record =
      cursor.ReadUntil(absl::string_view("\0", 1), timeout);
  if (!absl::IsOutOfRange(record.status()) &&
      !absl::IsDataLoss(record.status())) {
    return record;
  }
  // The end of the stream or dropped bytes end the record.
  absl::StatusOr<std::string> rest = cursor.ReadSome(absl::ZeroDuration());
  return rest.ok() ? rest : record;
}

MessageReader::MessageReader(OutputCursor* cursor, size_t largest)
    : MessageReader(cursor, MessageReaderOptions{largest, nullptr}) {}

MessageReader::MessageReader(OutputCursor* cursor, MessageReaderOptions options)
    : cursor_(*cursor),
      options_(std::move(options)),
      skipped_(cursor->Skipped()) {}

absl::StatusOr<FramedMessage> MessageReader::Read(absl::Duration timeout) {
  if (!broken_.ok()) return broken_;
  const absl::Time start = MonotonicNow();
  absl::StatusOr<FramedMessage> message = ReadUntil(DeadlineAfter(timeout));
  if (!absl::IsDeadlineExceeded(message.status())) return message;
  // Its own time is that of the last of several reads.
  return Prefixed(absl::StrCat(kCannot, " from ", cursor_.name()),
                  cursor_.Late(std::min(timeout, MonotonicNow() - start)));
}

absl::StatusOr<FramedMessage> MessageReader::ReadUntil(absl::Time deadline) {
  if (!length_.has_value()) {
    if (absl::Status status = ReadHeaders(deadline); !status.ok()) {
      return status;
    }
  }
  absl::StatusOr<std::string> body = cursor_.ReadExactly(*length_, deadline);
  if (absl::IsDataLoss(body.status()) || cursor_.Skipped() != skipped_) {
    return Dropped();
  }
  if (absl::IsOutOfRange(body.status())) {
    return Broken(absl::DataLossError(
        absl::StrCat("the output ends ", cursor_.Peek().size(),
                     " bytes into a message of ", *length_)));
  }
  if (!body.ok()) return Prefixed(kCannot, body.status());
  length_.reset();
  return FramedMessage{std::exchange(headers_, {}), *std::move(body)};
}

absl::Status MessageReader::ReadHeaders(absl::Time deadline) {
  size_t skipped_late = 0;
  for (;;) {
    absl::StatusOr<std::string> line = cursor_.ReadLine(deadline);
    if (cursor_.Skipped() != skipped_) return Dropped();
    if (absl::IsOutOfRange(line.status()) && !headers_.empty()) {
      return Broken(absl::DataLossError(
          "the output ends in the middle of a message's headers"));
    }
    if (!line.ok()) return Prefixed(kCannot, line.status());
    absl::string_view header = *line;
    if (headers_.empty() && IsOtherText(&header)) {
      // ReadLine returns lines that have arrived without a look at the clock,
      // and a flood of lines has no end.
      absl::Status late = internal::CheckWaitScopes();
      if (MonotonicNow() >= deadline) {
        late = absl::DeadlineExceededError("");  // Read writes the message.
      }
      if (!late.ok()) skipped_late += line->size() + 1;
      if (skipped_late > kMostSkippedLate) return late;
      continue;
    }
    if (header.empty()) return CheckLength();
    if (absl::Status status = AddHeader(header); !status.ok()) {
      // A gap may have cut off the header.
      return cursor_.PassGap() ? Dropped() : status;
    }
  }
}

bool MessageReader::IsOtherText(absl::string_view* line) {
  if (options_.on_other_text == nullptr ||
      absl::StartsWithIgnoreCase(*line, "content-type:")) {
    return false;
  }
  const size_t begin = FindLength(*line);
  const absl::string_view text = line->substr(0, begin);
  if (begin != 0) options_.on_other_text(text);
  line->remove_prefix(text.size());
  return begin == absl::string_view::npos;
}

absl::Status MessageReader::AddHeader(absl::string_view line) {
  const size_t colon = line.find(':');
  const absl::string_view name = line.substr(0, colon);
  if (colon == absl::string_view::npos || name.empty() ||
      !std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return Broken(absl::InvalidArgumentError(
        absl::StrCat("a header of a message was expected, not ", Quote(line))));
  }
  const std::string value(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  const auto [header, is_new] =
      headers_.emplace(absl::AsciiStrToLower(name), value);
  if (!is_new && header->first == kLength && header->second != value) {
    return Broken(absl::InvalidArgumentError(
        absl::StrCat("a message has two lengths: ", Quote(header->second),
                     " and ", Quote(value))));
  }
  header_bytes_ += line.size();
  if (headers_.size() > kMostHeaders || header_bytes_ > kMostHeaderBytes) {
    return Broken(absl::InvalidArgumentError(
        "the headers of a message are too many or too long"));
  }
  return absl::OkStatus();
}

absl::Status MessageReader::CheckLength() {
  const auto header = headers_.find(kLength);
  if (header == headers_.end()) {
    return Broken(absl::InvalidArgumentError(
        headers_.empty()
            ? "a header of a message was expected, not an empty line"
            : absl::StrCat("a message has no Content-Length, only ",
                           headers_.begin()->first)));
  }
  const std::string& value = header->second;
  uint64_t length;
  // SimpleAtoi would accept a sign.
  if (!std::all_of(value.begin(), value.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(value, &length)) {
    return Broken(absl::InvalidArgumentError(
        absl::StrCat("the Content-Length of a message is ", Quote(value))));
  }
  if (length > options_.largest) {
    return Broken(absl::InvalidArgumentError(
        absl::StrCat("a message of ", length, " bytes is larger than the ",
                     options_.largest, " that are allowed")));
  }
  length_ = static_cast<size_t>(length);
  header_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status MessageReader::Dropped() {
  return Broken(absl::DataLossError(
      "bytes of the output were dropped (Command::output_buffer)"));
}

absl::Status MessageReader::Broken(const absl::Status& status) {
  broken_ = Prefixed(absl::StrCat(kCannot, " from ", cursor_.name()), status);
  return broken_;
}

std::string FrameMessage(absl::string_view body,
                         absl::string_view content_type) {
  std::string message = absl::StrCat("Content-Length: ", body.size(), "\r\n");
  if (!content_type.empty()) {
    absl::StrAppend(&message, "Content-Type: ", content_type, "\r\n");
  }
  absl::StrAppend(&message, "\r\n", body);
  return message;
}

absl::Status WriteMessage(Child& child, absl::string_view body) {
  return child.Write(FrameMessage(body));
}

}  // namespace asyncproc
