// The end of a tree of 50 processes that have to be killed: from the call until
// all are gone. The limit knows each pid beforehand.

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

std::vector<std::string> Tree() {
  return {Child("grow_tree"), absl::StrCat(kTree)};
}

// Orphans become children of this process, and Reap reaps them: not every
// system has an init that does.
void AdoptOrphans() { PCHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); }

void Reap(const std::vector<pid_t>& pids, pid_t root) {
  for (const pid_t pid : pids) {
    if (pid == root) continue;
    // Its parent may not yet be through with its end.
    while (waitpid(pid, nullptr, 0) != pid) {
      PCHECK(errno == ECHILD);
      sched_yield();
    }
  }
}

pid_t ParsePid(const std::string& line) {
  const int pid = atoi(line.c_str());
  CHECK_GT(pid, 1);
  return pid;
}

void ByProcess(benchmark::State& state) {
  Escalation kill;
  kill.steps = {EscalationStep::Signal(SIGKILL, absl::Seconds(10))};
  kill.scope = TerminationScope::kTree;
  AdoptOrphans();
  for (auto _ : state) {
    state.PauseTiming();
    auto process = Process::Spawn(Command(Tree()));
    CHECK_OK(process.status());
    std::vector<pid_t> pids;
    for (int i = 0; i < kTree; ++i) {
      auto line = (*process)->out().ReadLine(absl::InfiniteDuration());
      CHECK_OK(line.status());
      pids.push_back(ParsePid(*line));
    }
    state.ResumeTiming();
    auto termination = (*process)->Terminate(kill);
    CHECK_OK(termination.status());
    CHECK(termination->survivors.empty());
    state.PauseTiming();
    Reap(pids, (*process)->pid());
    process->reset();
    state.ResumeTiming();
  }
}
ASYNCPROC_BENCHMARK(ByProcess, "terminate_tree/asyncproc");

void ByHand(benchmark::State& state) {
  AdoptOrphans();
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<pid_t> pids;
    BareChild child(Tree());
    const pid_t root = child.pid();
    FILE* const lines = fdopen(dup(child.out()), "r");
    char line[32];
    while (pids.size() < kTree && fgets(line, sizeof(line), lines) != nullptr) {
      pids.push_back(ParsePid(line));
    }
    CHECK_EQ(pids.size(), static_cast<size_t>(kTree));
    state.ResumeTiming();
    for (const pid_t pid : pids) PCHECK(kill(pid, SIGKILL) == 0);
    // All of them hold its output: that is at its end when all have ended.
    child.Wait();
    state.PauseTiming();
    Reap(pids, root);
    fclose(lines);
    state.ResumeTiming();
  }
}
ASYNCPROC_BENCHMARK(ByHand, "terminate_tree/limit");

}  // namespace
}  // namespace asyncproc::bench
