#ifndef ASYNCPROC_FRAMING_H_
#define ASYNCPROC_FRAMING_H_

#include <cstddef>
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

// Messages in a stream of output, for programs whose unit is not the line. For
// those of a length that is known beforehand, OutputCursor::ReadExactly is all
// there is to it; for those that end with some text, OutputCursor::ReadUntil.

// The next record of output in which a NUL byte ends each, as of `find -print0`
// or `git ls-files -z`; without that byte. The last one is returned at the end
// of the stream also if nothing ends it.
// Thread safety, blocking, errors: as OutputCursor::ReadLine.
absl::StatusOr<std::string> ReadNulRecord(OutputCursor& cursor,
                                          absl::Duration timeout);

// What one Content-Length message consists of.
struct FramedMessage {
  // Name, in lower case, to value; content-length is one of them.
  std::map<std::string, std::string> headers;
  std::string body;
};

// How MessageReader reads.
struct MessageReaderOptions {
  // The largest body. A longer one is an error.
  size_t largest = size_t{1} << 30;
  // Text between two messages, a log for instance, is an error, unless this is
  // set: then such text is skipped, and given to this function,
  // line by line, without "\n" or "\r\n". A message begins, then, where a line
  // ends with "Content-Length: " and digits, or begins with "Content-Type:":
  // text of that line in front of its Content-Length is given to the function
  // as a line. Text inside of a message is an error in any case.
  std::function<void(absl::string_view)> on_other_text;
};

// Reads messages that say how long they are, as language servers and debug
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
// A body may have any bytes and any length up to `largest`. The case of a
// header's name does not matter, nor does the order. A lone "\n" ends a header
// line as "\r\n" does. The headers of a message may have 64 KiB.
//
// Thread safety: none of its own. Ownership: the cursor must outlive it, and
// must not be read by others.
class MessageReader {
 public:
  static constexpr size_t kLargest = size_t{1} << 30;

  explicit MessageReader(OutputCursor* cursor, size_t largest = kLargest);
  MessageReader(OutputCursor* cursor, MessageReaderOptions options);

  // The next message, complete. Calls MessageReaderOptions::on_other_text, on
  // this thread, for the text in front of it.
  //
  // Blocking: up to `timeout`, which WithTimeout and CancellationScope shorten,
  // however much text there is to be skipped.
  // Errors: kDeadlineExceeded: nothing is lost, and the next call goes on where
  // this one stopped. kResourceExhausted for a body, or a line, that is larger
  // than what OutputBound::BlockChild lets arrive. kOutOfRange at the end of
  // the stream. kDataLoss when it ends in the middle of a message.
  // kInvalidArgument for what is no header, or for a length that is missing,
  // none, given twice with two values, or larger than `largest`, and for
  // headers that are larger than 64 KiB: it quotes what
  // it found. After those two, there is no way to tell where a message begins:
  // the same error comes again and again.
  absl::StatusOr<FramedMessage> Read(absl::Duration timeout);

 private:
  absl::Status ReadHeaders(absl::Time deadline);
  absl::Status AddHeader(absl::string_view line);
  absl::Status CheckLength();
  absl::Status Broken(absl::Status status);

  // Reports `line`, or the part of it in front of a header, if that is other
  // text. True: all of it was. False: `line` is the header.
  bool IsOtherText(absl::string_view* line);

  OutputCursor& cursor_;
  const MessageReaderOptions options_;
  size_t header_bytes_ = 0;
  std::map<std::string, std::string> headers_;  // Of the message being read.
  std::optional<size_t> length_;                // Its headers are complete.
  absl::Status broken_;
};

// `body` with its header in front: what MessageReader reads. `content_type`, if
// not empty, is a second header.
std::string FrameMessage(absl::string_view body,
                         absl::string_view content_type = "");

// Writes one message to the child's stdin. Errors: as Process::Write.
absl::Status WriteMessage(Child& child, absl::string_view body);

}  // namespace asyncproc

#endif  // ASYNCPROC_FRAMING_H_
