#ifndef ASYNCPROC_OUTPUT_STREAM_H_
#define ASYNCPROC_OUTPUT_STREAM_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/diagnose.h"

namespace asyncproc {

class Expect;

namespace internal {
struct BufferCursor;
class OutputBuffer;
struct OutputStreamPeer;  // For tests.
}  // namespace internal

// Where an independent reader starts.
enum class From {
  kOldest,  // At the oldest byte that some reader has yet to take.
  kNow,     // Behind all that has arrived.
};

// A reader of one stream of a child's output. Each has a place of its own in
// the stream: what one takes, the others still get. OutputStream is one itself;
// make more with OutputStream::NewCursor.
//
//   while (true) {
//     absl::StatusOr<std::string> line = cursor.ReadLine(absl::Seconds(5));
//     if (absl::IsOutOfRange(line.status())) break;  // The child is done.
//     if (!line.ok()) return line.status();
//     Use(*line);
//   }
//
// Lines: "\n" ends one, and so does "\r\n"; neither is part of it. The last
// line is returned at the end of the stream also if nothing ends it. Any byte
// may occur in a line, and it may be as long as there is memory for. Bytes that
// a bound dropped (see OutputBound) end a line too.
//
// Thread safety: all methods may be called from any thread. Two threads that
// read by the same cursor share its bytes out between them.
// Ownership: it may outlive the Process; it then sees what had arrived.
// Blocking: only the methods that take a duration block, and no longer than it.
// With absl::InfiniteDuration() they wait for the end of the stream at most.
// Errors of those that wait: kDeadlineExceeded, with nothing taken; kOutOfRange
// at the end of the stream; kResourceExhausted when what is asked for is larger
// than the bound lets arrive, or memory ran out; kInvalidArgument.
class OutputCursor {
 public:
  OutputCursor(OutputCursor&& other) noexcept;
  OutputCursor& operator=(OutputCursor&& other) noexcept;
  ~OutputCursor();

  // All that has arrived and not been taken, maybe nothing.
  std::string Read();

  // All that has arrived, as soon as that is anything; at most `most` bytes.
  // REQUIRES: most > 0.
  absl::StatusOr<std::string> ReadSome(absl::Duration timeout,
                                       size_t most = std::string::npos);

  // Waits until Read would return something; takes nothing.
  absl::Status AwaitSome(absl::Duration timeout);

  // The next line. TryReadLine: kUnavailable when there is none yet.
  absl::StatusOr<std::string> TryReadLine();
  absl::StatusOr<std::string> ReadLine(absl::Duration timeout);

  // What comes before the next `delimiter`, which is taken too, but not
  // returned. kOutOfRange: the stream has ended without one; nothing is taken.
  absl::StatusOr<std::string> ReadUntil(absl::string_view delimiter,
                                        absl::Duration timeout);

  // Exactly so many bytes. kOutOfRange: the stream has ended with fewer, which
  // are not taken.
  absl::StatusOr<std::string> ReadExactly(size_t size, absl::Duration timeout);

  // What Read would return, without taking it.
  std::string Peek() const;
  // Whether TryReadLine would return a line.
  bool HasLine() const;
  // Whether everything was taken, and nothing more will come.
  bool AtEof() const;

  // Bytes that the bound took away before this cursor could take them.
  uint64_t dropped() const;

  // A descriptor for an event loop of the host's (epoll, libuv, GLib ...):
  // readable while there is output that no read by this cursor has looked at,
  // and from the end of the stream on. The host then reads without waiting:
  //
  //   auto fd = process->out().ReadyFd();
  //   if (!fd.ok()) return fd.status();
  //   while (!process->out().AtEof() && AwaitReadable(*fd)) {  // Its loop.
  //     for (auto line = process->out().TryReadLine(); line.ok();
  //          line = process->out().TryReadLine()) {
  //       Use(*line);
  //     }
  //   }
  //
  // Level-triggered, with one exception: a read that finds less than it needs,
  // such as TryReadLine in half a line, makes the descriptor unreadable until
  // more arrives, so that the host's loop does not spin. At the end of the
  // stream it stays readable: the host stops watching it when AtEof is true.
  // With EPOLLET, read until there is nothing more each time.
  //
  // It is an eventfd of the cursor: the same for each call, not read, written
  // or closed by the host, and closed with the cursor. The first call makes it;
  // without a call, there is none. It does not show the exit of the child: see
  // Process::OnEnd.
  // Errors: kResourceExhausted when no descriptor is left.
  absl::StatusOr<int> ReadyFd();

 private:
  friend class Expect;
  friend class OutputStream;
  friend class Repl;
  friend class TapHandle;
  OutputCursor(std::shared_ptr<internal::OutputBuffer> buffer, From from);

  // How many bytes Read would return.
  size_t Available() const;

  std::shared_ptr<internal::OutputBuffer> buffer_;  // Null: moved from.
  internal::BufferCursor* cursor_;
};

// Called with a piece of output, or a line of it.
using Tap = std::function<void(absl::string_view)>;

// What a Tap is called with.
enum class TapUnit {
  kChunk,  // Whatever has arrived since the last call.
  kLine,   // A line, without its end; a piece of one that is longer than what
           // OutputBound::BlockChild lets arrive.
};

// Keeps a tap going; when it is destroyed, the tap is removed.
//
// Thread safety: as an int; but Remove may be called from the tap itself.
class [[nodiscard]] TapHandle {
 public:
  TapHandle() = default;
  TapHandle(TapHandle&&) = default;
  TapHandle& operator=(TapHandle&& other) noexcept;
  ~TapHandle() { Remove(); }

  // When it returns, the tap is not running and will not be called again;
  // unless it is called from the tap itself, which then is the last call.
  void Remove();

  // Waits until the tap has been called with all there is up to the end of the
  // stream. Not from the tap itself. False: a WithTimeout or CancellationScope
  // of this thread ended the wait; the tap goes on.
  bool Finish();

 private:
  friend class OutputStream;
  struct Runner;
  explicit TapHandle(std::shared_ptr<Runner> runner);

  std::shared_ptr<Runner> runner_;
};

struct OutputStats {
  uint64_t bytes = 0;     // Arrived from the child.
  uint64_t lines = 0;     // Taken as lines, by the stream's own reads.
  uint64_t dropped = 0;   // Of `bytes`, what the bound dropped.
  size_t buffered = 0;    // Kept right now, for some reader.
  size_t high_water = 0;  // The most that was ever kept.
};

// What a child writes to its stdout or stderr, drained in the background as
// fast as it comes, for any number of readers. As an OutputCursor it is the
// reader that keeps everything from the start until it is taken.
//
// A stream that is not a pipe (Stdio::Null, say) is at its end from the start.
//
// Thread safety: as OutputCursor. Ownership: part of its Process.
class OutputStream : public OutputCursor {
 public:
  OutputStream(OutputStream&&) = delete;
  ~OutputStream();

  // Another reader, with a place of its own. What it has yet to take is kept
  // for it: do not keep one that you do not read by.
  OutputCursor NewCursor(From from = From::kOldest);

  // Calls `tap` with all that arrives, in order, nothing twice and nothing left
  // out, on a thread of the tap's own: it may block as long as it likes and
  // call anything, and neither the child nor another reader waits for it; what
  // it has yet to see is kept for it. A tap that throws ends the program.
  // Errors: kResourceExhausted when there is no thread to be had.
  absl::StatusOr<TapHandle> AddTap(Tap tap, TapUnit unit = TapUnit::kChunk,
                                   From from = From::kOldest);

  // Waits until all bytes that are in the pipe right now have arrived here:
  // those that a child wrote before it did something that the caller knows of
  // by other means. Waits for room, too, where OutputBound::BlockChild's bound
  // is reached. Errors: kDeadlineExceeded.
  absl::Status Sync(absl::Duration timeout);

  // Closes the pipe: a child that writes to it afterwards gets SIGPIPE. The
  // bytes that have arrived can still be read. When it returns, the descriptor
  // is closed.
  void Close();

  OutputStats stats() const;

  // For messages: "; last of stdout: 'one', 'two'", with the last lines that
  // arrived, whether or not they were taken, control characters made visible.
  // Empty when nothing has arrived.
  std::string LastLines(absl::string_view name) const;

  // The processes that have the stream open for writing, as far as /proc shows
  // them to us: after the child has ended, those that it left behind. Pipes
  // only: none for a terminal.
  std::vector<PipeHolder> holders() const;

 private:
  friend class Process;
  friend class ReplayProcess;
  friend struct internal::OutputStreamPeer;
  // `pipe`: the number that names the pipe in /proc; 0: none.
  OutputStream(std::shared_ptr<internal::OutputBuffer> buffer, ino_t pipe);

  const ino_t pipe_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_OUTPUT_STREAM_H_
