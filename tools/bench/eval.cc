// Statements that interpreters answer. The limit writes and reads the same
// bytes, to and from the same program, by blocking calls. With `threads`, a
// second thread reads stdout, as in a Process.

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "tools/bench/bench.h"

namespace asyncproc::bench {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);

// A short statement: the benchmark measures Eval, not the interpreter.
constexpr absl::string_view kStatement = "6 * 7";
constexpr absl::string_view kShStatement = "echo 42";
constexpr absl::string_view kSqlite3Statement = "select 42;";
constexpr absl::string_view kReply = "42\n";

void EvalByRepl(benchmark::State& state, ReplDialect dialect,
                absl::string_view statement) {
  auto repl = Repl::Start(std::move(dialect));
  CHECK_OK(repl.status());
  for (auto _ : state) {
    auto reply = (*repl)->Eval(statement, kPatience);
    CHECK(reply.ok() && reply->out == kReply) << reply.status();
  }
}

void EvalBcByRepl(benchmark::State& state) {
  EvalByRepl(state, BcDialect(), kStatement);
}
ASYNCPROC_BENCHMARK(EvalBcByRepl, "eval/asyncproc");

// The stdout of a program, read by the caller.
class DirectOut {
 public:
  explicit DirectOut(BareChild& child) : child_(child) {}
  void ReadUntil(absl::string_view end) { child_.ReadUntil(child_.out(), end); }

 private:
  BareChild& child_;
};

// The same, read by a second thread, as a Process does.
class ThreadedOut {
 public:
  explicit ThreadedOut(BareChild& child) : reader_(child.out()) {}
  void ReadUntil(absl::string_view end) {
    std::string all;
    for (std::string data; !absl::EndsWith(all, end); all += data) {
      CHECK(reader_.Take(&data));
    }
  }

 private:
  BareReader reader_;
};

template <typename Out>
void EvalBcByHand(benchmark::State& state) {
  const ReplDialect dialect = BcDialect();
  int statements[2];
  PCHECK(pipe2(statements, O_CLOEXEC) == 0);
  BareChild bc(dialect.command.argv, 0, {{8, statements[0]}});
  // As long as those that Repl draws.
  const std::string head = "aaaabbbbccccdddd";
  const std::string tail = "eeeeffffgggghhhh";
  const std::string statement = absl::StrReplaceAll(
      dialect.statement,
      {{"{statement}", kStatement}, {"{head}", head}, {"{tail}", tail}});
  const std::string end = absl::StrCat(head, tail, "\n");
  Out out(bc);
  for (auto _ : state) {
    PCHECK(write(statements[1], statement.data(), statement.size()) ==
           static_cast<ssize_t>(statement.size()));
    out.ReadUntil(end);
  }
  close(statements[1]);
  bc.CloseIn();
}
ASYNCPROC_BENCHMARK(EvalBcByHand<DirectOut>, "eval/limit");
ASYNCPROC_BENCHMARK(EvalBcByHand<ThreadedOut>, "eval/threads");

// Of a dialect with a private channel. `done` is the rest of a completion line,
// after the id.
template <typename Out>
void EvalByHand(benchmark::State& state, const ReplDialect& dialect,
                absl::string_view statement,
                absl::string_view done = " done 0\n") {
  int statements[2], completions[2];
  PCHECK(pipe2(statements, O_CLOEXEC) == 0);
  PCHECK(pipe2(completions, O_CLOEXEC) == 0);
  BareChild child(dialect.command.argv, 0,
                  {{8, statements[0]}, {9, completions[1]}});
  const auto send = [&](absl::string_view text) {
    PCHECK(write(statements[1], text.data(), text.size()) ==
           static_cast<ssize_t>(text.size()));
  };
  child.Write(dialect.typed);
  if (dialect.setup.empty() && dialect.typed.empty()) {
    child.ReadUntil(completions[0], absl::StrCat("0", done));
  }
  send(dialect.setup);
  Out out(child);
  int id = 0;
  for (auto _ : state) {
    ++id;
    send(absl::StrReplaceAll(
        dialect.statement,
        {{"{statement}", statement},
         {"{length}", absl::StrCat(statement.size())},
         {"{quoted}", ShellQuote(absl::StrCat(statement, "\n"))},
         {"{status}", "0"},
         {"{id}", absl::StrCat(id)}}));
    child.ReadUntil(completions[0], absl::StrCat(id, done));
    out.ReadUntil(kReply);
  }
  close(statements[1]);
  close(completions[0]);
  child.CloseIn();
}

void EvalPythonByRepl(benchmark::State& state) {
  EvalByRepl(state, PythonDialect(), kStatement);
}
ASYNCPROC_BENCHMARK(EvalPythonByRepl, "eval_python/asyncproc");

template <typename Out>
void EvalPythonByHand(benchmark::State& state) {
  EvalByHand<Out>(state, PythonDialect(), kStatement);
}
ASYNCPROC_BENCHMARK(EvalPythonByHand<DirectOut>, "eval_python/limit");
ASYNCPROC_BENCHMARK(EvalPythonByHand<ThreadedOut>, "eval_python/threads");

void EvalShByRepl(benchmark::State& state) {
  EvalByRepl(state, ShDialect(), kShStatement);
}
ASYNCPROC_BENCHMARK(EvalShByRepl, "eval_sh/asyncproc");

template <typename Out>
void EvalShByHand(benchmark::State& state) {
  EvalByHand<Out>(state, ShDialect(), kShStatement);
}
ASYNCPROC_BENCHMARK(EvalShByHand<DirectOut>, "eval_sh/limit");
ASYNCPROC_BENCHMARK(EvalShByHand<ThreadedOut>, "eval_sh/threads");

void EvalSqlite3ByRepl(benchmark::State& state) {
  EvalByRepl(state, Sqlite3Dialect(), kSqlite3Statement);
}
ASYNCPROC_BENCHMARK(EvalSqlite3ByRepl, "eval_sqlite3/asyncproc");

template <typename Out>
void EvalSqlite3ByHand(benchmark::State& state) {
  EvalByHand<Out>(state, Sqlite3Dialect(), kSqlite3Statement, " done\n");
}
ASYNCPROC_BENCHMARK(EvalSqlite3ByHand<DirectOut>, "eval_sqlite3/limit");
ASYNCPROC_BENCHMARK(EvalSqlite3ByHand<ThreadedOut>, "eval_sqlite3/threads");

// From the start to the first reply.
void StartPythonByRepl(benchmark::State& state) {
  for (auto _ : state) {
    auto python = Repl::Start(PythonDialect());
    CHECK_OK(python.status());
    auto reply = (*python)->Eval(kStatement, kPatience);
    CHECK(reply.ok() && reply->out == kReply) << reply.status();
    state.PauseTiming();
    CHECK_OK((*python)->Close(kPatience).status());
    state.ResumeTiming();
  }
}
ASYNCPROC_BENCHMARK(StartPythonByRepl, "start_python/asyncproc");

void StartPythonByHand(benchmark::State& state) {
  for (auto _ : state) {
    BareChild python({"python3", "-c", ""});
    python.CloseIn();
    python.Wait();
  }
}
ASYNCPROC_BENCHMARK(StartPythonByHand, "start_python/limit");

}  // namespace
}  // namespace asyncproc::bench
