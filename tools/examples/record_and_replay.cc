// Recordings: records a session with bc, and then runs the same code with the
// recording in place of bc, as a test does where bc is not installed.
//
//   bazel run //tools/examples:record_and_replay

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/recorder.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/transcript.h"

namespace {

// The code under test. A Child is a Process or a ReplayProcess.
absl::StatusOr<std::string> Ask(asyncproc::Child& bc, absl::string_view sum) {
  absl::Status status = bc.Write(absl::StrCat(sum, "\n"));
  if (!status.ok()) return status;
  return bc.out().ReadLine(absl::Seconds(20));
}

absl::StatusOr<asyncproc::Transcript> Record() {
  // Recorder::ToFile writes to a file, which Transcript::Load reads.
  auto recorder = asyncproc::Recorder::InMemory();
  asyncproc::Command command({"bc", "-q"});
  command.observer = recorder;
  auto bc = asyncproc::Process::Spawn(command);
  if (!bc.ok()) return bc.status();
  auto answer = Ask(**bc, "6*7");
  if (!answer.ok()) return answer.status();
  std::cout << "bc: " << *answer << "\n";
  auto end = (*bc)->Terminate();
  if (!end.ok()) return end.status();
  return recorder->transcript();
}

absl::Status Replay(const asyncproc::Transcript& transcript) {
  auto same = asyncproc::ReplayProcess::Start(transcript);
  if (!same.ok()) return same.status();
  auto answer = Ask(**same, "6*7");
  if (!answer.ok()) return answer.status();
  std::cout << "recording: " << *answer << "\n";

  // Any other input is an error, which has the recorded and the actual input.
  auto other = asyncproc::ReplayProcess::Start(transcript);
  if (!other.ok()) return other.status();
  answer = Ask(**other, "6*8");
  std::cout << "other input: "
            << absl::StatusCodeToString(answer.status().code()) << "\n";
  return absl::OkStatus();
}

absl::Status Example() {
  auto transcript = Record();
  if (!transcript.ok()) return transcript.status();
  return Replay(*transcript);
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
