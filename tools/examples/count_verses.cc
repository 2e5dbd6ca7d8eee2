// ProcessProtocol and Reactor: feeds ten verses to wc, and prints each event of
// the child.
//
//   bazel run //tools/examples:count_verses

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process_protocol.h"

namespace {

constexpr int kVerses = 10;
constexpr absl::string_view kVerse[] = {
    "Countably many children wait in a tree,\n",
    "countably many wait,\n",
    "one comes to its end, its parent is told,\n",
    "countably many wait in the tree.\n",
};

class VerseCounter : public asyncproc::ProcessProtocol {
 public:
  explicit VerseCounter(asyncproc::Reactor& reactor) : reactor_(reactor) {}

 private:
  void ConnectionMade() override {
    std::cout << "connection made" << std::endl;
    for (int i = 0; i < kVerses; ++i) {
      transport().WriteSequence(kVerse).IgnoreError();
    }
    transport().CloseStdin().IgnoreError();
  }

  void OutReceived(absl::string_view data) override {
    std::cout << "out: " << data.size() << " bytes" << std::endl;
    counts_.append(data.data(), data.size());
  }

  void ErrReceived(absl::string_view data) override {
    std::cout << "err: " << data.size() << " bytes" << std::endl;
  }

  void InConnectionLost() override {
    std::cout << "stdin is closed" << std::endl;
  }

  void OutConnectionLost() override {
    std::cout << "stdout is closed" << std::endl;
    const std::vector<std::string> counts =
        absl::StrSplit(counts_, absl::ByAnyChar(" \n"), absl::SkipEmpty());
    if (counts.empty()) return;
    std::cout << "it has counted " << counts[0] << " lines" << std::endl;
  }

  void ErrConnectionLost() override {
    std::cout << "stderr is closed" << std::endl;
  }

  void ProcessExited(const absl::StatusOr<asyncproc::ExitStatus>&) override {
    std::cout << "the process has exited" << std::endl;
  }

  void ProcessEnded(
      const absl::StatusOr<asyncproc::ExitStatus>& status) override {
    if (status.ok()) std::cout << "the end: " << *status << std::endl;
    reactor_.Stop();
  }

  asyncproc::Reactor& reactor_;
  std::string counts_;
};

absl::Status Count() {
  auto reactor = asyncproc::Reactor::Create();
  if (!reactor.ok()) return reactor.status();
  absl::Status status = (*reactor)->Spawn(
      std::make_shared<VerseCounter>(**reactor), asyncproc::Command({"wc"}));
  if (!status.ok()) return status;
  return (*reactor)->Run();
}

}  // namespace

int main() {
  const absl::Status status = Count();
  if (status.ok()) return 0;
  std::cerr << status << std::endl;
  return 1;
}
