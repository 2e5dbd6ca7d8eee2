#ifndef ASYNCPROC_TRANSCRIPT_H_
#define ASYNCPROC_TRANSCRIPT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc {

// How a transcript is written down.
//
// kJsonLines, which loses nothing: an object a line. The first is the header:
//
//   {"transcript":1,"command":"bc -q","start_us":1700000000000000,
//    "terminal":{"rows":24,"columns":80}}
//
// and the others are the events, with their time in microseconds since then:
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
// JSON is UTF-8: bytes that are not are in "data_base64" instead of "data" (a
// piece of output may end within a character). "command" likewise.
//
// kAsciinema, for people to watch: asciicast v2, which `asciinema play` shows;
// events "o", "i", "r" and "m". It has one output and knows no bytes: so what
// came from stderr is among "o"; a character that was cut by the end of a piece
// is put together, with the time of its last byte; bytes that are no UTF-8
// become U+FFFD. Without a terminal, "\n" is written as "\r\n", which is what
// a terminal makes of it, and read back as "\n". All other events are "m",
// markers, with labels such as "asyncproc: exit 0".
//
// kAsciinema3: the same as asciicast v3, the default of asciinema 3, where the
// time of an event is that since the event before.
enum class TranscriptFormat { kJsonLines, kAsciinema, kAsciinema3 };

// kAsciinema for a name that ends with ".cast", kAsciinema3 for one that ends
// with ".v3.cast".
TranscriptFormat TranscriptFormatOf(absl::string_view path);

// A whole conversation with a child: every byte with its time and direction,
// the signals that were sent, and how it ended. A Recorder makes one of what
// happens, and a ReplayProcess makes what happened of one.
//
//   auto transcript = asyncproc::Transcript::Load("session.jsonl");
//   if (!transcript.ok()) return transcript.status();   // It names the line.
//   for (const asyncproc::TranscriptEvent& event : transcript->events) {
//     std::cout << event.time << " " << event << "\n";
//   }
//
// The order of the events is one that can have been: what the child said
// because of an input is behind it, and what was written because of an output
// is behind that. Between stdout and stderr there is none but that they were
// read in.
//
// What was written is there, passwords too; the environment is not.
//
// A value. Thread safety: as an int.
struct Transcript {
  TranscriptHeader header;
  std::vector<TranscriptEvent> events;

  // All bytes of one kind: what was written, say.
  std::string BytesOf(TranscriptEvent::Kind kind) const;

  // In any of the formats, and asciicast v1: the first line tells. Times may go
  // back a little, as those of other recorders do; asciicast events of other
  // kinds are skipped. A last line that is cut off is left out: the recorder
  // was killed.
  // Errors: kInvalidArgument with the number of the line, and what is wrong
  // with it; Load: also as open and read, with the name of the file.
  static absl::StatusOr<Transcript> Parse(absl::string_view text);
  static absl::StatusOr<Transcript> Load(const std::string& path);

  std::string Format(TranscriptFormat format) const;
  // Writes all of it to a new file beside `path`, and puts that in its place:
  // there is a whole transcript, or an error and what was there before.
  // Errors: as open, write, rename.
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
