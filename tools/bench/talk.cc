// Conversations: a line that an echoing child says again, and a statement that
// bc answers. The limit writes and reads the same bytes, and blocks.

#include <unistd.h>

#include <string>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

void RoundTripByProcess(benchmark::State& state) {
  auto process = Process::Spawn({Child("echo")});
  CHECK_OK(process.status());
  for (auto _ : state) {
    CHECK_OK((*process)->Write(kLine));
    auto line = (*process)->out().ReadLine(absl::InfiniteDuration());
    CHECK(line.ok() && line->size() == kLine.size() - 1) << line.status();
  }
}
ASYNCPROC_BENCHMARK(RoundTripByProcess, "round_trip/asyncproc");

void ReadUntil(int fd, absl::string_view end) {
  std::string said;
  char buffer[4096];
  while (!absl::EndsWith(said, end)) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    PCHECK(count > 0);
    said.append(buffer, static_cast<size_t>(count));
  }
}

void RoundTripByHand(benchmark::State& state) {
  BareChild child({Child("echo")});
  for (auto _ : state) {
    child.Write(kLine);
    ReadUntil(child.out(), "\n");
  }
}
ASYNCPROC_BENCHMARK(RoundTripByHand, "round_trip/limit");

// Nobody is to measure how bc calculates.
constexpr absl::string_view kStatement = "6 * 7";

void EvalByRepl(benchmark::State& state) {
  auto bc = Repl::Start(BcDialect());
  CHECK_OK(bc.status());
  for (auto _ : state) {
    auto reply = (*bc)->Eval(kStatement, absl::Minutes(1));
    CHECK(reply.ok() && reply->out == "42\n") << reply.status();
  }
}
ASYNCPROC_BENCHMARK(EvalByRepl, "eval/asyncproc");

void EvalByHand(benchmark::State& state) {
  const ReplDialect dialect = BcDialect();
  BareChild bc(dialect.command.argv);
  // As long as those that Repl makes up.
  const std::string head = "aaaabbbbccccdddd";
  const std::string tail = "eeeeffffgggghhhh";
  const std::string statement = absl::StrReplaceAll(
      dialect.statement,
      {{"{statement}", kStatement}, {"{head}", head}, {"{tail}", tail}});
  const std::string end = absl::StrCat(head, tail, "\n");
  for (auto _ : state) {
    bc.Write(statement);
    ReadUntil(bc.out(), end);
  }
}
ASYNCPROC_BENCHMARK(EvalByHand, "eval/limit");

}  // namespace
}  // namespace asyncproc::bench
