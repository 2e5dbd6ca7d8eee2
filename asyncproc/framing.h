#ifndef ASYNCPROC_FRAMING_H_
#define ASYNCPROC_FRAMING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/output_stream.h"

namespace asyncproc {

// Messages in a stream of output that are not lines. For messages of a known
// length, use OutputCursor::ReadExactly; for messages that end with a
// delimiter, OutputCursor::ReadUntil.

// The next record of output in which each record ends with a NUL byte, as from
// `find -print0` or `git ls-files -z`; without the NUL byte. At the end of the
// stream, a last record without a NUL byte is returned too. Bytes that a bound
// dropped (see OutputBound) end a record too, as they end a line.
// Thread safety, blocking, errors: as OutputCursor::ReadLine.
absl::StatusOr<std::string> ReadNulRecord(OutputCursor& cursor,
                                          absl::Duration timeout);

// A message with a Content-Length header.
struct FramedMessage {
  // Names in lower case to values, including content-length.
  std::map<std::string, std::string> headers;
  std::string body;
};

// Options of MessageReader.
struct MessageReaderOptions {
  // The largest body in bytes. A larger body is an error.
  size_t largest = size_t{1} << 30;
  // Text between two messages, for instance a log, is an error unless this
  // function is set. With it, the text is skipped, and passed to the function
  // line by line, without "\n" or "\r\n". A message then begins at a line that
  // ends with "Content-Length: " and digits, or begins with "Content-Type:".
  // Text in front of Content-Length in such a line is passed to the function as
  // a line. Text inside of a message is an error in any case.
  std::function<void(absl::string_view)> on_other_text;
};

// Reads messages that begin with their length, as language servers and debug
// adapters write them:
//
//   Content-Length: 17\r\n
//   \r\n
//   {"jsonrpc":"2.0"}
//
//   asyncproc::MessageReader reader(&server->out());
//   absl::Status written = asyncproc::WriteMessage(*server, request);
//   if (!written.ok()) return written;
//   auto reply = reader.Read(absl::Seconds(5));
//   if (!reply.ok()) return reply.status();
//   Use(reply->body);
//
// The child's streams are pipes or sockets: a terminal would change the bytes,
// and wait for the end of a line.
//
// A body may have any bytes, and any length up to `largest`. Header names are
// case-insensitive, and headers may be in any order. A lone "\n" ends a header
// line as "\r\n" does. A message may have 100 headers, of 64 KiB in all.
//
// Thread safety: one thread at a time. Ownership: the cursor must outlive the
// reader. Other code must not read from it.
class MessageReader {
 public:
  static constexpr size_t kLargest = size_t{1} << 30;

  explicit MessageReader(OutputCursor* cursor, size_t largest = kLargest);
  MessageReader(OutputCursor* cursor, MessageReaderOptions options);

  // The next complete message. Calls MessageReaderOptions::on_other_text, on
  // this thread, for the text in front of the message.
  //
  // Blocking: up to `timeout`, which WithTimeout and CancellationScope shorten,
  // even if there is much text to skip.
  // Errors: kDeadlineExceeded: nothing is lost, and the next call goes on from
  // there. kResourceExhausted for a body or line that exceeds the bound of the
  // stream. kOutOfRange at the end of the stream. kDataLoss if the stream ends
  // in the middle of a message, or if a bound dropped bytes in the middle or in
  // front of it (see OutputBound); messages before those bytes are returned.
  // kInvalidArgument, with the text found, for an invalid header; for a length
  // that is missing, not a number, given twice with two values, or larger than
  // `largest`; and for too many or too large headers. After kDataLoss and
  // kInvalidArgument, the start of the next message is unknown: every further
  // call returns the same error.
  absl::StatusOr<FramedMessage> Read(absl::Duration timeout);

 private:
  absl::StatusOr<FramedMessage> ReadUntil(absl::Time deadline);
  absl::Status ReadHeaders(absl::Time deadline);
  absl::Status AddHeader(absl::string_view line);
  absl::Status CheckLength();
  // The error for bytes that a bound dropped.
  absl::Status Dropped();
  absl::Status Broken(const absl::Status& status);

  // Passes `line`, or the part of it in front of a header, to on_other_text if
  // it is other text. Returns whether the whole line was; otherwise, `line`
  // becomes the header.
  bool IsOtherText(absl::string_view* line);

  OutputCursor& cursor_;
  const MessageReaderOptions options_;
  size_t header_bytes_ = 0;
  std::map<std::string, std::string> headers_;  // Of the message being read.
  std::optional<size_t> length_;  // Set when its headers are complete.
  const uint64_t skipped_;        // The cursor's, at the start.
  absl::Status broken_;
};

// `body` with its header in front, as MessageReader reads it. `content_type`,
// if not empty, is a second header.
std::string FrameMessage(absl::string_view body,
                         absl::string_view content_type = "");

// Writes one message to the child's stdin. Errors: as Process::Write.
absl::Status WriteMessage(Child& child, absl::string_view body);

}  // namespace asyncproc

#endif  // ASYNCPROC_FRAMING_H_
