#ifndef ASYNCPROC_OUTPUT_STREAM_H_
#define ASYNCPROC_OUTPUT_STREAM_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/diagnose.h"

namespace asyncproc {

class Expect;
class LineRange;
class MessageReader;

namespace internal {
class Conversation;
struct BufferCursor;
class OutputBuffer;
struct OutputStreamPeer;  // For tests.
}  // namespace internal

// The start position of an independent reader.
enum class From {
  kOldest,  // At the oldest byte that some reader has not taken.
  kNow,     // After all that has arrived.
};

// A reader of one stream of a child's output. Each reader has its own position
// in the stream: bytes that one reader takes remain for the others.
// OutputStream is a reader itself; OutputStream::NewCursor makes more.
//
//   asyncproc::LineRange lines = cursor.Lines(absl::Seconds(5));
//   for (absl::string_view line : lines) Use(line);
//   if (!lines.status().ok()) return lines.status();  // No line for 5 seconds.
//
// Lines: "\n" or "\r\n" ends a line, and is not part of it. The last line is
// returned at the end of the stream even without a line end. A line may contain
// any byte, and may be as long as memory allows.
//
// Gaps, where a bound dropped bytes (see OutputBound): a gap ends a line, and
// the rest of a line after a gap is returned as a line. ReadSome and
// ReadInPlace return the bytes before a gap by one call, and those after it by
// the next call. ReadUntil and ReadExactly return no bytes of both sides. Read,
// Peek and ReadToEnd return the kept bytes of both sides together. The reads
// after a gap are no errors: see dropped().
//
// Thread safety: all methods may be called from any thread. Two threads that
// read by the same cursor divide its bytes between them.
// Ownership: it may outlive the Process; it then has the bytes that had
// arrived, and after them the end of the stream, also when the child was
// detached and runs on.
// Blocking: only the methods that take a duration block, and no longer than
// that, apart from the function that is passed to ReadInPlace. With
// absl::InfiniteDuration() they wait for the end of the stream at most.
// Errors of methods that wait: kDeadlineExceeded, with nothing taken, and with
// the last unread text: for example, a prompt, which has no line end;
// kOutOfRange at the end of the stream; kResourceExhausted when the line, the
// text up to the delimiter or the number of bytes does not fit into the bound
// of the stream, or memory ran out; kInvalidArgument; kDataLoss from ReadUntil
// and ReadExactly when there is a gap among the bytes, with nothing taken:
// ReadSome takes the bytes before the gap.
class OutputCursor {
 public:
  OutputCursor(OutputCursor&& other) noexcept;
  OutputCursor& operator=(OutputCursor&& other) noexcept;
  ~OutputCursor();

  // Takes all bytes that have arrived, possibly none.
  std::string Read();

  // Waits for at least one byte, and takes all that have arrived, at most
  // `most`, and no further than a gap. REQUIRES: most > 0.
  absl::StatusOr<std::string> ReadSome(absl::Duration timeout,
                                       size_t most = std::string::npos);

  // Waits for at least one byte, takes all that have arrived, and calls `use`
  // with them. Nothing is copied: the fastest form for much output.
  //
  //   size_t size = 0;
  //   const auto add = [&](absl::string_view bytes) { size += bytes.size(); };
  //   absl::Status status;
  //   do {
  //     status = process->out().ReadInPlace(add, absl::Seconds(5));
  //   } while (status.ok());
  //   if (!absl::IsOutOfRange(status)) return status;
  //
  // The bytes count as taken before the call, and are valid until `use`
  // returns or throws. `use` may block and may call anything, and may destroy
  // the Process; the child goes on meanwhile.
  absl::Status ReadInPlace(absl::FunctionRef<void(absl::string_view)> use,
                           absl::Duration timeout);

  // Waits until Read would return at least one byte; takes nothing.
  absl::Status AwaitSome(absl::Duration timeout);

  // Takes the next line. TryReadLine: kUnavailable when no line is available
  // yet.
  absl::StatusOr<std::string> TryReadLine();
  absl::StatusOr<std::string> ReadLine(absl::Duration timeout);
  // The same, into `*line`, reusing its memory: the fastest form for many
  // lines. At an error, `*line` is unchanged.
  //
  //   asyncproc::OutputStream& out = process->out();
  //   std::string line;
  //   absl::Status status;
  //   while ((status = out.ReadLine(&line, absl::Seconds(5))).ok()) Use(line);
  //   if (!absl::IsOutOfRange(status)) return status;
  absl::Status ReadLine(std::string* line, absl::Duration timeout);

  // Returns a range for a loop over the lines up to the end of the stream,
  // which waits for each line up to `timeout`. It calls the ReadLine above.
  LineRange Lines(absl::Duration timeout) &;

  // Takes the bytes up to the next `delimiter`, and the delimiter, which is not
  // returned. kOutOfRange: the stream has ended without a delimiter; nothing is
  // taken.
  absl::StatusOr<std::string> ReadUntil(absl::string_view delimiter,
                                        absl::Duration timeout);

  // Takes exactly `size` bytes. kOutOfRange: the stream has ended with fewer,
  // which are not taken.
  absl::StatusOr<std::string> ReadExactly(size_t size, absl::Duration timeout);

  // Waits for the end of the stream, and takes all bytes up to it, possibly
  // none. The end itself is not an error: at the end, returns "".
  //
  //   asyncproc::OutputStream& out = process->out();
  //   absl::StatusOr<std::string> title = out.ReadLine(absl::Seconds(5));
  //   absl::StatusOr<std::string> text = out.ReadToEnd(absl::Seconds(5));
  //
  // Errors: nothing is taken; Read takes the bytes that have arrived.
  // kResourceExhausted when the bytes fill the bound of
  // OutputBound::BlockChild; the error of the pipe when a read of it has
  // failed.
  //
  // Other calls that return the whole output: Run, for a command that needs no
  // conversation; Process::Wait and then Read, for a child that leaves other
  // processes behind, which hold the stream open, so that ReadToEnd waits for
  // them.
  absl::StatusOr<std::string> ReadToEnd(absl::Duration timeout);

  // Returns the same bytes as Read, without taking them.
  std::string Peek() const;
  // Whether TryReadLine would return a line.
  bool HasLine() const;
  // Whether all bytes have been taken, and the stream has ended.
  bool AtEof() const;

  // The number of bytes that the bound dropped before this cursor could take
  // them.
  uint64_t dropped() const;

  // Returns a descriptor for an event loop of the host (epoll, libuv, GLib
  // ...): readable while there is output that no read by this cursor has
  // examined, and from the end of the stream on. The host then reads without
  // waiting:
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
  // more bytes arrive, so that the host's loop does not spin. At the end of the
  // stream the descriptor stays readable: the host stops watching it when AtEof
  // is true. With EPOLLET, read until no output remains each time.
  //
  // This is an eventfd of the cursor: all calls return the same one; the host
  // does not read, write or close it; it is closed with the cursor. The first
  // call makes it; without a call, there is no eventfd. It does not show the
  // exit of the child: see Process::OnEnd.
  // Errors: kResourceExhausted when no descriptor is available.
  absl::StatusOr<int> ReadyFd();

  // The name of the stream, for messages: "stdout of cat".
  const std::string& name() const;

 private:
  friend class Expect;
  friend class MessageReader;
  friend class OutputStream;
  friend class internal::Conversation;
  friend class TapHandle;
  OutputCursor(std::shared_ptr<internal::OutputBuffer> buffer, From from);

  // How many bytes Read would return.
  size_t Available() const;
  // The error of a read that has found too little after `elapsed`, with the
  // last unread bytes.
  absl::Status Late(absl::Duration elapsed) const;
  // The number of dropped bytes in gaps that this cursor has passed. It changes
  // with the read of the bytes after a gap, or before.
  uint64_t Skipped() const;
  // Passes the gap in front of the next unread byte, if there is one. Returns
  // whether there was.
  bool PassGap();
  // The same as the public functions, up to a time on internal::MonotonicNow's
  // clock.
  absl::StatusOr<std::string> ReadSome(absl::Time deadline,
                                       size_t most = std::string::npos);
  absl::Status AwaitSome(absl::Time deadline);
  absl::StatusOr<std::string> ReadLine(absl::Time deadline);
  absl::Status ReadLine(std::string* line, absl::Time deadline);
  absl::StatusOr<std::string> ReadUntil(absl::string_view delimiter,
                                        absl::Time deadline);
  absl::StatusOr<std::string> ReadExactly(size_t size, absl::Time deadline);
  // Calls `wait`, which ends at the deadline. An error then begins with `part`,
  // such as "a line", and the name of the stream.
  template <typename Wait>
  auto ReadPart(absl::string_view part, absl::Time deadline, Wait wait)
      -> decltype(wait());

  std::shared_ptr<internal::OutputBuffer> buffer_;  // Null: moved from.
  internal::BufferCursor* cursor_;
};

// The lines of a stream, from OutputCursor::Lines:
//
//   asyncproc::LineRange lines = process->out().Lines(absl::Seconds(5));
//   for (absl::string_view line : lines) {
//     if (line == "ready") break;
//   }
//   if (!lines.status().ok()) return lines.status();
//
// The loop ends at the end of the stream, with status() OK, or at any other
// error of ReadLine, with that status(). The timeout is for each line; a
// WithTimeout around the loop limits the time of the whole loop.
//
// Each step of the loop takes one line, which is valid until the next step.
// After a `break`, the next read by the cursor, or the next loop, continues
// after that line.
//
// Thread safety: one thread at a time may use the range; other threads may use
// the cursor. Ownership: the cursor must outlive the range, and stay in place.
// Blocking: begin() and the ++ of an iterator wait, as ReadLine does.
class LineRange {
 public:
  // An input iterator: all copies have the same current line.
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = absl::string_view;

    iterator() = default;  // The end.
    reference operator*() const { return range_->line_; }
    iterator& operator++() {
      if (!range_->Next()) range_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(iterator a, iterator b) {
      return a.range_ == b.range_;
    }
    friend bool operator!=(iterator a, iterator b) { return !(a == b); }

   private:
    friend class LineRange;
    explicit iterator(LineRange* range) : range_(range) {}

    LineRange* range_ = nullptr;
  };

  LineRange(const LineRange&) = delete;
  LineRange& operator=(const LineRange&) = delete;

  // Takes the first line.
  iterator begin() { return ++iterator(this); }
  iterator end() { return iterator(); }

  // The reason for the end of the loop; OK at the end of the stream, and before
  // the end of the loop.
  const absl::Status& status() const { return status_; }

 private:
  friend class OutputCursor;
  LineRange(OutputCursor* cursor, absl::Duration timeout)
      : cursor_(cursor), timeout_(timeout) {}

  // Takes the next line. False: there is none.
  bool Next();

  OutputCursor* const cursor_;
  const absl::Duration timeout_;
  std::string line_;
  absl::Status status_;
};

// Called with a piece of output, or a line of it.
using Tap = std::function<void(absl::string_view)>;

// The unit of output in a call of a Tap.
enum class TapUnit {
  kChunk,  // All bytes that have arrived since the last call, up to a gap.
  kLine,   // A line, without its end; a piece of a line that is longer than the
           // bound of OutputBound::BlockChild.
};

// Owns a tap; the destructor removes the tap.
//
// Thread safety: as an int; but Remove may be called from the tap itself.
class [[nodiscard]] TapHandle {
 public:
  TapHandle() = default;
  TapHandle(TapHandle&&) = default;
  TapHandle& operator=(TapHandle&& other) noexcept;
  ~TapHandle() { Remove(); }

  // Waits for a running call of the tap, also after the deadline of a
  // WithTimeout. On return, the tap is not running and will not be called
  // again. When the tap itself calls Remove, the current call is the last.
  void Remove();

  // Waits until the tap has been called with all bytes up to the end of the
  // stream. If the child has ended, and a process that it left behind holds the
  // stream open: with all bytes that arrived until Process::Wait could return;
  // the tap goes on then, and TapUnit::kLine keeps the rest of a line for its
  // end. Must not be called by the tap. False: a WithTimeout or
  // CancellationScope of this thread ended the wait; the tap goes on.
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
  uint64_t dropped = 0;   // Of `bytes`, those that the bound dropped.
  size_t buffered = 0;    // Kept right now, for some reader.
  size_t high_water = 0;  // The highest value of `buffered` so far.
};

// The output of a child on its stdout or stderr, drained in the background as
// fast as it arrives, for any number of readers. As an OutputCursor it is the
// reader that keeps all bytes from the start until they are taken.
//
// A stream that is not a pipe (for example Stdio::Null) is at its end from the
// start.
//
// Thread safety: as OutputCursor. Ownership: part of its Process.
class OutputStream : public OutputCursor {
 public:
  OutputStream(OutputStream&&) = delete;
  ~OutputStream();

  // Returns another reader, with its own position. Bytes that it has not taken
  // are kept in memory for it: destroy a reader that is no longer used.
  OutputCursor NewCursor(From from = From::kOldest);

  // Calls `tap` with all output, in order, every byte exactly once, on a thread
  // of its own. The tap may block for any time and may call anything; neither
  // the child nor another reader waits for it. Bytes that it has not seen yet
  // are kept for it. After the Process is destroyed, it is called with the
  // bytes that had arrived. A tap that throws ends the program.
  // Errors: kResourceExhausted when no thread can be started.
  absl::StatusOr<TapHandle> AddTap(Tap tap, TapUnit unit = TapUnit::kChunk,
                                   From from = From::kOldest);

  // Waits until all bytes that are in the pipe right now have arrived in the
  // buffer: for example, bytes that the child wrote before an action that the
  // caller observed by other means. Where the bound of OutputBound::BlockChild
  // is reached, also waits for room. Errors: kDeadlineExceeded.
  absl::Status Sync(absl::Duration timeout);

  // Closes the pipe: a child that writes to it afterwards gets SIGPIPE. The
  // bytes that have arrived can still be read. On return, the descriptor is
  // closed.
  //
  // The terminal of Command::pty stays open, since it is also the child's
  // stdin: its further output is read and dropped, and the child gets no error.
  // The terminal of Stdio::LineBuffered is closed: a write of the child fails
  // with EIO, and there is no SIGPIPE.
  void Close();

  OutputStats stats() const;

  // For messages: "; last of stdout: 'one', 'two'", with the last lines that
  // arrived, whether or not they were taken, with control characters escaped.
  // Empty when nothing has arrived.
  std::string LastLines(absl::string_view name) const;

  // The processes that have the stream open for writing, as far as this program
  // may see them in /proc: after the child has ended, the processes that it
  // left behind. Pipes and sockets only: none for a terminal.
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
