#ifndef ASYNCPROC_TRANSCRIPT_H_
#define ASYNCPROC_TRANSCRIPT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc {

// The file formats of a transcript.
//
// kJsonLines, which loses nothing: one object per line. The first is the
// header:
//
//   {"transcript":1,"command":"bc -q","start_us":1700000000000000,
//    "terminal":{"rows":24,"columns":80}}
//
// and the others are the events, with their time in microseconds since the
// start:
//
//   {"us":1520,"event":"in","data":"2+2\n"}
//   {"us":1874,"event":"out","data":"4\n"}
//   {"us":1900,"event":"err","data_base64":"/w=="}
//   {"us":2000,"event":"in_closed"}             also in_broken, out_closed,
//                                               err_closed
//   {"us":2000,"event":"signal","signal":15,"scope":"child"}    group, tree
//   {"us":2000,"event":"resize","rows":50,"columns":132}
//   {"us":2000,"event":"letters","data":"abcd"}     also mark
//   {"us":2500,"event":"exit","code":0}             or "signal":9, maybe with
//                                                   "core_dumped":true
//
// JSON is UTF-8: bytes that are not valid UTF-8 are in "data_base64" instead of
// "data" (a piece of output may end within a character). "command" likewise.
//
// kAsciinema, for people to watch: asciicast v2, which `asciinema play` shows;
// events "o", "i", "r" and "m". The format has one output stream, and text
// instead of bytes: so stderr is written as "o" too; a character that is split
// between two pieces is joined, with the time of its last byte; invalid UTF-8
// becomes U+FFFD. Without a terminal, "\n" is written as "\r\n", as a terminal
// would, and read back as "\n". All other events are "m", markers, with labels
// such as "asyncproc: exit 0".
//
// kAsciinema3: the same as asciicast v3, the default of asciinema 3, in which
// the time of an event counts from the event before.
enum class TranscriptFormat { kJsonLines, kAsciinema, kAsciinema3 };

// Returns kAsciinema for a name that ends with ".cast", kAsciinema3 for one
// that ends with ".v3.cast", else kJsonLines.
TranscriptFormat TranscriptFormatOf(absl::string_view path);

// A whole conversation with a child: every byte with its time and direction,
// the signals that were sent, and the exit status. A Recorder makes a
// transcript of a live child, and a ReplayProcess plays a transcript back.
//
//   auto transcript = asyncproc::Transcript::Load("session.jsonl");
//   if (!transcript.ok()) return transcript.status();   // It names the line.
//   for (const asyncproc::TranscriptEvent& event : transcript->events) {
//     std::cout << event.time << " " << event << "\n";
//   }
//
// The order of the events is causal: output that the child wrote in response to
// an input comes after that input, and an input that was written in response to
// an output comes after that output. Events of stdout and stderr are in the
// order in which they were read.
//
// A transcript contains all input, also passwords, but not the environment.
//
// A value. Thread safety: as an int.
struct Transcript {
  TranscriptHeader header;
  std::vector<TranscriptEvent> events;

  // All bytes of one kind of event, for example all input.
  std::string BytesOf(TranscriptEvent::Kind kind) const;

  // Parses any of the formats, and asciicast v1: the first line identifies the
  // format. Times may go back a little, as in the files of other recorders;
  // asciicast events of other kinds are skipped. An incomplete last line, as a
  // killed recorder leaves, is ignored.
  // Errors: kInvalidArgument with the line number and the mistake; Load: also
  // as open and read, with the name of the file.
  static absl::StatusOr<Transcript> Parse(absl::string_view text);
  static absl::StatusOr<Transcript> Load(const std::string& path);

  std::string Format(TranscriptFormat format) const;
  // Writes the transcript to a new file in the same directory, and renames that
  // to `path`: afterwards `path` is a whole transcript, or, with an error,
  // unchanged. Errors: as open, write, rename.
  absl::Status Save(const std::string& path, TranscriptFormat format) const;
  absl::Status Save(const std::string& path) const {
    return Save(path, TranscriptFormatOf(path));
  }

  friend bool operator==(const Transcript& a, const Transcript& b) {
    return a.header == b.header && a.events == b.events;
  }
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TRANSCRIPT_H_
