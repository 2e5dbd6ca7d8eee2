// The examples in the headers, compiled. An example that needs no other
// resource also runs. The code between two marks here equals the example in the
// header, except for white space and the parts that "..." leaves out.

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/child.h"
#include "asyncproc/command.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/expect.h"
#include "asyncproc/framing.h"
#include "asyncproc/interact.h"
#include "asyncproc/monitor.h"
#include "asyncproc/nonblocking_process.h"
#include "asyncproc/orphans.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/pipeline.h"
#include "asyncproc/plain_terminal.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/process_protocol.h"
#include "asyncproc/readiness.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/run.h"
#include "asyncproc/spawn_error.h"
#include "asyncproc/terminal.h"
#include "asyncproc/termination.h"
#include "asyncproc/testing/matchers.h"
#include "asyncproc/testing/misbehavior.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/testing/server_fixture.h"
#include "asyncproc/text.h"
#include "asyncproc/transcript.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace {

using asyncproc::HasCode;
using asyncproc::IsOk;
using testing::HasSubstr;
using OwnedProcess = std::unique_ptr<asyncproc::Process>;

// ---- Names that the examples use.

void Use(absl::string_view) {}
void Use(const asyncproc::CapturedOutput&) {}
void Show(const std::string&) {}
void Show(const asyncproc::CapturedOutput&) {}
void Draw(double) {}
bool DoSomeMore() { return true; }
void DoSomethingElse() {}
void Visit(int port) {
  EXPECT_THAT(asyncproc::CheckOutput(
                  {"bash", "-c",
                   absl::StrCat("exec 3<>/dev/tcp/127.0.0.1/", port,
                                "; echo -e 'GET / HTTP/1.0\r\n\r' >&3; "
                                "cat <&3")}),
              IsOk());
}
bool AwaitReadable(int fd) {
  pollfd watch = {fd, POLLIN, 0};
  return poll(&watch, 1, -1) > 0;
}
std::vector<OwnedProcess> StartJobs() {
  std::vector<OwnedProcess> jobs;
  jobs.push_back(asyncproc::MustSpawn(asyncproc::Command({"true"})));
  jobs.push_back(asyncproc::MustSpawn(asyncproc::Command({"false"})));
  return jobs;
}
void Report(size_t index, const absl::StatusOr<asyncproc::ExitStatus>& status) {
  EXPECT_THAT(status, asyncproc::IsOkAndHolds(asyncproc::ExitStatus::Exited(
                          static_cast<int>(index))));
}

// ---- The examples.

[[maybe_unused]] void ChangeEnvironment(asyncproc::Command command) {
  // command.h: begin
  command.env.Set("LANG", "C").Unset("HOME");
  command.env.Clear().Set("PATH", "/usr/bin:/bin");
  command.env = asyncproc::Environment::Only({{"PATH", "/bin"}});
  // end
}

[[maybe_unused]] void FillCommand() {
  // command.h: begin
  asyncproc::Command command({"python3", "-i", "-q"});
  command.working_directory = "/tmp";
  command.env.Set("PYTHONUNBUFFERED", "1");
  command.err = asyncproc::Stdio::ToStdout();
  // end
}

[[maybe_unused]] void ShareSocket(asyncproc::Command command) {
  // command.h: begin
  command.in = asyncproc::Stdio::Socket();
  command.out = asyncproc::Stdio::ToStdin();
  // end
}

[[maybe_unused]] void RunVia() {
  // command.h: begin
  asyncproc::Command hostname({"hostname"});
  auto process = asyncproc::Process::Spawn(hostname.Via({"srun", "-n1"}));
  // end
}

[[maybe_unused]] void RunOverSsh() {
  // command.h: begin
  asyncproc::Command make({"make", "test"});
  make.working_directory = "src";  // There; relative to the home.
  make.env.Set("CC", "clang");     // There, too.
  auto process = asyncproc::Process::Spawn(make.OverSsh("build1"));
  // end
}

absl::Status TalkToProcess() {
  // process.h: begin
  asyncproc::Command command({"bc", "-q"});
  auto process = asyncproc::Process::Spawn(command);
  if (!process.ok()) return process.status();
  auto written = (*process)->Write("6 * 7\n");
  if (!written.ok()) return written;
  auto answer = (*process)->out().ReadLine(absl::Seconds(5));  // "42"
  auto end = (*process)->Terminate();  // "exited with status 0"
  // end
  EXPECT_EQ(answer.value_or(""), "42");
  return end.status();
}

absl::Status WaitForJobs() {
  // process.h: begin
  std::vector<std::unique_ptr<asyncproc::Process>> jobs = StartJobs();
  for (size_t i = 0; i < jobs.size(); ++i) {
    auto ended = asyncproc::WaitAny(jobs, absl::Minutes(10));
    if (!ended.ok()) return ended.status();
    Report(*ended, jobs[*ended]->Wait());
    jobs[*ended] = nullptr;
  }
  // end
  return absl::OkStatus();
}

absl::Status ReadWhenReady(const OwnedProcess& process) {
  // output_stream.h: begin
  auto fd = process->out().ReadyFd();
  if (!fd.ok()) return fd.status();
  while (!process->out().AtEof() && AwaitReadable(*fd)) {  // Its loop.
    for (auto line = process->out().TryReadLine(); line.ok();
         line = process->out().TryReadLine()) {
      Use(*line);
    }
  }
  // end
  return absl::OkStatus();
}

absl::Status PollWhenReady(asyncproc::ProcessPoller<std::string>& poller) {
  // process_poller.h: begin
  absl::StatusOr<int> fd = poller.fd();
  if (!fd.ok()) return fd.status();
  while (poller.running() > 0 && AwaitReadable(*fd)) {  // The host's loop.
    absl::Status status = poller.Poll(absl::ZeroDuration());
    if (!status.ok() && !absl::IsDeadlineExceeded(status)) return status;
  }
  // end
  return absl::OkStatus();
}

void MatchChild(const asyncproc::Command& command) {
  // testing/matchers.h: begin
  auto child = asyncproc::Process::Spawn(command);
  EXPECT_THAT(child, asyncproc::SaysLine("ready"));
  EXPECT_TRUE((*child)->CloseStdin().ok());
  EXPECT_THAT(child, asyncproc::ExitsWith(0));
  // end
}

[[maybe_unused]] void StartServer() {
  // testing/server_fixture.h: begin
  auto server = asyncproc::TestServer::Start([](int port) {
    return asyncproc::ServerSpec{
        asyncproc::Command({"./server", "--port", absl::StrCat(port)}),
        asyncproc::ReadyCondition::TcpPort("127.0.0.1", port)};
  });
  ASSERT_TRUE(server.ok()) << server.status();  // Has what the server wrote.
  Visit((*server)->port());
  auto stopped = (*server)->Stop();
  // end
}

// testing/server_fixture.h: begin
class WebServerTest : public asyncproc::ServerFixture {
  asyncproc::ServerSpec MakeServer(int port) override {
    return {asyncproc::Command(
                {"python3", "-m", "http.server", absl::StrCat(port)}),
            asyncproc::ReadyCondition::TcpPort("127.0.0.1", port)};
  }
};

TEST_F(WebServerTest, LogsAVisit) {
  Visit(port());
  EXPECT_THAT(server(), asyncproc::SaysLine(testing::HasSubstr("GET /")));
}
// end

absl::Status ReadLines(asyncproc::OutputStream& cursor) {
  // output_stream.h: begin
  asyncproc::LineRange lines = cursor.Lines(absl::Seconds(5));
  for (absl::string_view line : lines) Use(line);
  if (!lines.status().ok()) return lines.status();  // No line for 5 seconds.
  // end
  EXPECT_TRUE(cursor.AtEof());
  return absl::OkStatus();
}

absl::Status ReadLinesIntoOneString(const OwnedProcess& process) {
  // output_stream.h: begin
  asyncproc::OutputStream& out = process->out();
  std::string line;
  absl::Status status;
  while ((status = out.ReadLine(&line, absl::Seconds(5))).ok()) Use(line);
  if (!absl::IsOutOfRange(status)) return status;
  // end
  EXPECT_EQ(line, "b");
  return absl::OkStatus();
}

absl::Status ReadInPlace(const OwnedProcess& process) {
  // output_stream.h: begin
  size_t size = 0;
  const auto add = [&](absl::string_view bytes) { size += bytes.size(); };
  absl::Status status;
  do {
    status = process->out().ReadInPlace(add, absl::Seconds(5));
  } while (status.ok());
  if (!absl::IsOutOfRange(status)) return status;
  // end
  EXPECT_EQ(size, 4u);
  return absl::OkStatus();
}

absl::Status AwaitLine(const OwnedProcess& process) {
  // output_stream.h: begin
  asyncproc::LineRange lines = process->out().Lines(absl::Seconds(5));
  for (absl::string_view line : lines) {
    if (line == "ready") break;
  }
  if (!lines.status().ok()) return lines.status();
  // end
  EXPECT_THAT(process->out().ReadLine(absl::Seconds(5)),
              asyncproc::IsOkAndHolds("next"));
  return absl::OkStatus();
}

void ReadText(const OwnedProcess& process) {
  // output_stream.h: begin
  asyncproc::OutputStream& out = process->out();
  absl::StatusOr<std::string> title = out.ReadLine(absl::Seconds(5));
  absl::StatusOr<std::string> text = out.ReadToEnd(absl::Seconds(5));
  // end
  EXPECT_EQ(title.value_or(""), "title");
  EXPECT_EQ(text.value_or(""), "text\n\n");
}

absl::Status AdoptOrphans() {
  // orphans.h: begin
  auto adoption = asyncproc::OrphanAdoption::Start();
  if (!adoption.ok()) return adoption.status();
  DoSomethingElse();  // Start children, and wait for them.
  auto survivors = (*adoption)->Terminate(asyncproc::Escalation::Standard());
  // end
  EXPECT_TRUE(survivors.ok() && survivors->empty());
  return survivors.status();
}

absl::Status RunNonblocking(bool running) {
  // nonblocking_process.h: begin
  auto bc = asyncproc::NonblockingProcess::Spawn({"bc", "-q"});
  if (!bc.ok()) return bc.status();
  (*bc)->ReadLine();  // nullopt: it has said nothing yet
  if (auto status = (*bc)->Write("20 + 22\n"); !status.ok()) return status;
  while (running) {
    // "42", when it is there.
    if (std::optional<std::string> line = (*bc)->ReadLine()) Show(*line);
    DoSomethingElse();
  }
  // end
  return absl::OkStatus();
}

absl::Status RunPipeline() {
  // pipeline.h: begin
  auto pipeline = asyncproc::Pipeline::Spawn({{"sort"}, {"uniq", "-c"}});
  if (!pipeline.ok()) return pipeline.status();
  absl::Status written = (*pipeline)->Write("b\na\nb\n");
  if (written.ok()) written = (*pipeline)->CloseStdin();
  if (!written.ok()) return written;
  auto status = (*pipeline)->WaitFor(absl::Seconds(10));
  std::string counts = (*pipeline)->Read();  // "      1 a\n      2 b\n"
  // end
  EXPECT_EQ(counts, "      1 a\n      2 b\n");
  return status.status();
}

absl::Status InterruptOnTerminal() {
  // terminal.h: begin
  asyncproc::Command command({"python3", "-q"});
  command.pty = asyncproc::Pty{50, 132, /*echo=*/false};
  auto python = asyncproc::Process::Spawn(command);
  if (!python.ok()) return python.status();
  absl::Status typed = (*python)->Write("while True: pass\n\n");
  if (typed.ok()) typed = (*python)->pty()->SendInterrupt();
  // end
  return typed;
}

// process_poller.h: begin
class Printer : public asyncproc::ProcessPoller<std::string> {
  absl::Status OnOutput(const std::string& key, asyncproc::ChildStream,
                        absl::string_view data) override {
    std::cout << key << ": " << data;
    return absl::OkStatus();
  }
};
// end

absl::Status PollPrinter() {
  // process_poller.h: begin
  Printer printer;
  absl::Status status = printer.Run("disks", asyncproc::Command({"df"}));
  status.Update(
      printer.Run("sums", asyncproc::Command({"bc", "-q"}), "6 * 7\n"));
  status.Update(printer.CloseInput("sums"));
  status.Update(printer.Poll());  // OK: all have ended.
  if (!status.ok()) return status;
  std::cout << *printer.results().at("sums");  // exited with status 0
  // end
  return absl::OkStatus();
}

absl::Status PollBuffering(const std::vector<asyncproc::Command>& commands) {
  // process_poller.h: begin
  asyncproc::BufferingProcessPoller<int> poller;
  absl::Status status;
  for (int i = 0; i < 3; ++i) status.Update(poller.Run(i, commands[i]));
  status.Update(poller.Poll());
  if (!status.ok()) return status;
  std::cout << poller.output(0).out;
  // end
  return absl::OkStatus();
}

// process_protocol.h: begin
class Counter : public asyncproc::ProcessProtocol {
  void ConnectionMade() override {
    // If wc cannot read, its exit status shows that.
    transport().Write("how many words are these\n").IgnoreError();
    transport().CloseStdin().IgnoreError();
  }
  void OutReceived(absl::string_view data) override { said_ += data; }
  void ProcessEnded(const absl::StatusOr<asyncproc::ExitStatus>&) override {
    std::cout << said_;  // 5
    reactor_.Stop();
  }
  // ...

 public:
  explicit Counter(asyncproc::Reactor& reactor) : reactor_(reactor) {}

 private:
  asyncproc::Reactor& reactor_;
  std::string said_;
};
// end

absl::Status RunReactor() {
  // process_protocol.h: begin
  auto reactor = asyncproc::Reactor::Create();
  if (!reactor.ok()) return reactor.status();
  auto counter = std::make_shared<Counter>(**reactor);
  asyncproc::Command wc({"wc", "-w"});
  absl::Status status = (*reactor)->Spawn(counter, wc);
  if (status.ok()) status = (*reactor)->Run();
  // end
  return status;
}

absl::Status AskLanguageServer(const OwnedProcess& server,
                               const std::string& request) {
  // framing.h: begin
  asyncproc::MessageReader reader(&server->out());
  absl::Status written = asyncproc::WriteMessage(*server, request);
  if (!written.ok()) return written;
  auto reply = reader.Read(absl::Seconds(5));
  if (!reply.ok()) return reply.status();
  Use(reply->body);
  // end
  return absl::OkStatus();
}

void PrintLine(absl::string_view line) {
  // text.h: begin
  std::string plain = asyncproc::StripControlSequences(line);
  std::cout << asyncproc::Printable(plain) << "\n";
  // end
}

absl::Status AwaitPrompt(const OwnedProcess& process) {
  // expect.h: begin
  asyncproc::Expect expect(process.get());
  auto prompt = expect.Await(
      {asyncproc::Pattern::Literal("password: "),
       asyncproc::Pattern::Regex("(?m)^(\\w+)\\$ "), asyncproc::Pattern::Eof()},
      absl::Seconds(10));
  if (!prompt.ok()) return prompt.status();  // Has the text that came.
  switch (prompt->index) {                   // ...
    // end
    default:
      break;
  }
  return absl::OkStatus();
}

[[maybe_unused]] absl::Status HandOver(const OwnedProcess& ssh) {
  // interact.h: begin
  asyncproc::Expect expect(ssh.get());
  auto prompt =
      expect.Await(asyncproc::Pattern::Literal("$ "), absl::Seconds(10));
  if (!prompt.ok()) return prompt.status();
  std::cout << prompt->match << "(^] ends this)\n" << std::flush;
  auto interaction = asyncproc::Interact(expect);
  if (!interaction.ok()) return interaction.status();
  if (interaction->end == asyncproc::InteractionEnd::kEscape) {  // ...
    // end
  }
  return absl::OkStatus();
}

absl::Status RunBc() {
  // run.h: begin
  asyncproc::RunOptions options;
  options.input = "6 * 7\n";
  options.timeout = absl::Seconds(10);
  absl::StatusOr<asyncproc::RunResult> result =
      asyncproc::Run({"bc", "-q"}, options);
  if (!result.ok()) return result.status();
  if (result->status.ok()) Use(result->out);  // "42\n"
  // end
  EXPECT_EQ(result->out, "42\n");
  return absl::OkStatus();
}

absl::Status ReadLinesOfRun() {
  auto result = asyncproc::Run({"printf", "one\\ntwo\\n"});
  if (!result.ok()) return result.status();
  // run.h: begin
  for (absl::string_view line :
       absl::StrSplit(result->out.view(), '\n', absl::SkipEmpty())) {
    Use(line);
  }
  // end
  return absl::OkStatus();
}

absl::Status LookAtFailure(const asyncproc::Command& command,
                           const asyncproc::RunOptions& options) {
  // run.h: begin
  auto result = asyncproc::Run(command, options);
  if (auto failure = asyncproc::GetRunFailure(result.status())) {
    if (failure->reason == asyncproc::RunFailureReason::kTimeout) {
      Show(failure->result.out);
    }
  }
  // end
  return result.status();
}

absl::Status NameKernel() {
  // run.h: begin
  auto kernel = asyncproc::CheckOutput({"uname", "-r"});  // "6.1.0-18\n"
  // end
  return kernel.status();
}

asyncproc::ReplDialect DcDialect() {
  // repl_dialects.h: begin
  asyncproc::ReplDialect dc;
  dc.command = asyncproc::Command({"dc"});
  dc.statement = "{statement}\n[{head}]n[{tail}]p\n";
  // end
  return dc;
}

absl::Status EvalPower() {
  // repl.h: begin
  auto bc = asyncproc::Repl::Start(asyncproc::BcDialect());
  if (!bc.ok()) return bc.status();
  auto reply = (*bc)->Eval("2^100", absl::Seconds(5));
  // reply->out == "1267650600228229401496703205376\n"
  // end
  EXPECT_EQ(reply->out, "1267650600228229401496703205376\n");
  return reply.status();
}

absl::Status AnswerAQuestion() {
  // repl.h: begin
  asyncproc::ReplDialect dialect = asyncproc::PythonDialect();
  dialect.command.in = asyncproc::Stdio::Pipe();
  auto python = asyncproc::Repl::Start(dialect);
  if (!python.ok()) return python.status();
  (*python)->set_on_question(
      [](absl::string_view question) -> std::optional<std::string> {
        if (question == "Your name? ") return "Ada\n";
        return std::nullopt;
      });
  auto reply = (*python)->Eval("input('Your name? ')", absl::Seconds(5));
  // reply->out == "Your name? 'Ada'\n"
  // end
  EXPECT_EQ(reply->out, "Your name? 'Ada'\n");
  return reply.status();
}

[[maybe_unused]] void LogLines(const OwnedProcess& process) {
  // monitor.h: begin
  auto log = process->err().AddTap(asyncproc::LineLogger("pg_basebackup"),
                                   asyncproc::TapUnit::kLine);
  // end
}

absl::Status FollowProgress(const OwnedProcess& process) {
  // monitor.h: begin
  auto parser = asyncproc::ProgressParser::Create(
      R"(\((\d+)%\))",
      [](const asyncproc::Progress& progress) { Draw(*progress.value); },
      asyncproc::LineLogger("pg_basebackup"));
  if (!parser.ok()) return parser.status();
  auto tap = process->err().AddTap((*parser)->tap());
  // ...
  tap->Finish();        // The tap has seen everything.
  (*parser)->Finish();  // And so have the callbacks.
  // end
  return absl::OkStatus();
}

void AnswerInTime(const OwnedProcess& process) {
  // with_timeout.h: begin
  absl::StatusOr<std::string> answer =
      asyncproc::WithTimeout(absl::Seconds(5), [&] {
        process->Write("6 * 7\n").IgnoreError();
        return process->out().ReadLine(absl::InfiniteDuration());
      });
  // end
  EXPECT_EQ(answer.value_or(""), "42");
}

void DoMoreInTime(bool done) {
  // with_timeout.h: begin
  while (!done && !asyncproc::Deadline::Expired()) done = DoSomeMore();
  // end
}

void CancelWorker(const OwnedProcess& process) {
  // cancellation.h: begin
  asyncproc::CancellationToken token;
  std::thread worker([&process, token] {
    asyncproc::CancellationScope scope(token);
    absl::StatusOr<asyncproc::ExitStatus> status = process->Wait();
    if (absl::IsCancelled(status.status())) return;  // The child runs on.
    // ...
  });
  // ...
  token.Cancel();
  // end
  worker.join();
}

absl::Status AwaitServer() {
  // readiness.h: begin
  auto server = asyncproc::Process::Spawn(
      asyncproc::Command({"python3", "-u", "-m", "http.server", "0"}));
  auto ready = asyncproc::WaitUntilReady(
      **server, asyncproc::ReadyCondition::Line("port (\\d+)"),
      absl::Seconds(10));
  if (!ready.ok()) return ready.status();  // It says what the server said.
  const std::string& port = ready->groups[0];
  // end
  EXPECT_NE(port, "");
  return absl::OkStatus();
}

void LogDiagnosis(const absl::Status& status, const OwnedProcess& process) {
  // diagnose.h: begin
  if (absl::IsDeadlineExceeded(status)) {
    LOG(ERROR) << asyncproc::Diagnose(*process);
    // "bc (pid 4711): it waits for input on its stdin"
  }
  // end
}

absl::Status PrintTranscript() {
  // transcript.h: begin
  auto transcript = asyncproc::Transcript::Load("session.jsonl");
  if (!transcript.ok()) return transcript.status();  // It names the line.
  for (const asyncproc::TranscriptEvent& event : transcript->events) {
    std::cout << event.time << " " << event << "\n";
  }
  // end
  return absl::OkStatus();
}

absl::Status Record() {
  // recorder.h: begin
  auto recorder = asyncproc::Recorder::ToFile("session.cast");
  if (!recorder.ok()) return recorder.status();
  asyncproc::ReplDialect dialect = asyncproc::BcDialect();
  dialect.command.observer = *recorder;
  auto bc = asyncproc::Repl::Start(dialect);
  // ...
  absl::Status written = (*recorder)->Close();
  // end
  return written;
}

bool IsNoProgram(const asyncproc::Command& command) {
  // spawn_error.h: begin
  auto process = asyncproc::Process::Spawn(command);
  if (auto failure = asyncproc::GetSpawnFailure(process.status())) {
    if (failure->stage == asyncproc::SpawnStage::kExec &&
        failure->error_number == ENOEXEC) {  // ...
      return true;
    }
  }
  // end
  return false;
}

void StartPlainBash() {
  // plain_terminal.h: begin
  asyncproc::Command bash({"bash", "--norc", "-i"});
  bash.env.Set("PS1", "ready> ");  // And a prompt that nothing else prints.
  auto process = asyncproc::Process::Spawn(asyncproc::OnPlainTerminal(bash));
  // end
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT((*process)->out().ReadUntil("ready> ", asyncproc::kNeverReached),
              asyncproc::IsOkAndHolds(""));
}

void TerminateGently(const OwnedProcess& process) {
  // termination.h: begin
  using asyncproc::EscalationStep;
  asyncproc::Escalation gentle;
  gentle.steps = {EscalationStep::Signal(SIGINT, absl::Seconds(5)),
                  EscalationStep::Signal(SIGKILL, absl::Seconds(1))};
  gentle.scope = asyncproc::TerminationScope::kTree;
  auto termination = process->Terminate(gentle);
  // end
  EXPECT_THAT(termination, IsOk());
}

absl::Status Misbehave() {
  // testing/misbehavior.h: begin
  auto child = asyncproc::Misbehavior()
                   .Ignore(SIGTERM)
                   .Say("ready")
                   .AwaitCue()  // A line on its stdin.
                   .Dribble("caf\xC3\xA9\n", absl::Milliseconds(5))
                   .Die(SIGSEGV)
                   .Build();
  if (!child.ok()) return child.status();
  auto process = asyncproc::Process::Spawn(*child);
  // end
  return process.status();
}

// The function that the example tests.
absl::Status Login(asyncproc::Child& router) {
  asyncproc::Expect expect(&router);
  const std::pair<std::string, std::string> dialog[] = {
      {"login: ", "admin\n"}, {"Password: ", "secret\n"}};
  for (const auto& [prompt, answer] : dialog) {
    auto seen = expect.Await(asyncproc::Pattern::Literal(prompt),
                             asyncproc::kNeverReached);
    if (!seen.ok()) return seen.status();
    absl::Status status = router.Write(answer);
    if (!status.ok()) return status;
  }
  return expect
      .Await(asyncproc::Pattern::Literal("> "), asyncproc::kNeverReached)
      .status();
}

void LogIn() {
  // testing/replay_process.h: begin
  auto transcript = asyncproc::Transcript::Load("tests/data/login.jsonl");
  ASSERT_TRUE(transcript.ok()) << transcript.status();
  auto router = asyncproc::ReplayProcess::Start(*transcript);
  ASSERT_TRUE(router.ok()) << router.status();
  EXPECT_TRUE(Login(**router).ok());  // It takes an asyncproc::Child&.
  EXPECT_TRUE((*router)->CheckComplete().ok());
  // end
}

// ---- Examples that run.

TEST(HeaderExamplesTest, AdoptOrphans) { EXPECT_THAT(AdoptOrphans(), IsOk()); }

TEST(HeaderExamplesTest, WorkInTheLoopOfAHost) {
  EXPECT_THAT(WaitForJobs(), IsOk());
  EXPECT_THAT(
      ReadWhenReady(asyncproc::MustSpawn(asyncproc::Command({"echo", "a"}))),
      IsOk());
  asyncproc::ProcessPoller<std::string> poller;
  EXPECT_THAT(poller.Run("true", asyncproc::Command({"true"})), IsOk());
  EXPECT_THAT(PollWhenReady(poller), IsOk());
}

TEST(HeaderExamplesTest, MatchAChild) {
  MatchChild(asyncproc::Command::Shell("echo ready; cat"));
}

TEST(HeaderExamplesTest, BehaveAsTheirCommentsDescribe) {
  EXPECT_THAT(TalkToProcess(), IsOk());
  EXPECT_THAT(RunNonblocking(/*running=*/false), IsOk());
  EXPECT_THAT(RunPipeline(), IsOk());
  EXPECT_THAT(InterruptOnTerminal(), IsOk());
  EXPECT_THAT(ReadLinesOfRun(), IsOk());
  EXPECT_THAT(RunBc(), IsOk());
  EXPECT_THAT(NameKernel(), IsOk());
  EXPECT_THAT(EvalPower(), IsOk());
  EXPECT_THAT(AnswerAQuestion(), IsOk());
  EXPECT_THAT(AwaitServer(), IsOk());
  EXPECT_THAT(Misbehave(), IsOk());
  EXPECT_EQ(DcDialect().command.argv[0], "dc");
  EXPECT_THAT(PrintTranscript(), HasCode(absl::StatusCode::kNotFound));
  EXPECT_FALSE(IsNoProgram({"true"}));
  DoMoreInTime(/*done=*/false);
  StartPlainBash();
  LogIn();

  asyncproc::RunOptions options;
  options.timeout = asyncproc::kShort;
  EXPECT_THAT(LookAtFailure({"sleep", "1000"}, options),
              HasCode(absl::StatusCode::kDeadlineExceeded));
}

TEST(HeaderExamplesTest, TalkToTheirChildren) {
  AnswerInTime(asyncproc::MustSpawn({"bc", "-q"}));
  CancelWorker(asyncproc::MustSpawn({"cat"}));
  TerminateGently(asyncproc::MustSpawn({"cat"}));
  LogDiagnosis(absl::DeadlineExceededError(""), asyncproc::MustSpawn({"cat"}));
  EXPECT_THAT(ReadLines(asyncproc::MustSpawn({"printf", "a\nb\n"})->out()),
              IsOk());
  EXPECT_THAT(ReadInPlace(asyncproc::MustSpawn({"printf", "a\nb\n"})), IsOk());
  EXPECT_THAT(
      ReadLinesIntoOneString(asyncproc::MustSpawn({"printf", "a\nb\n"})),
      IsOk());
  EXPECT_THAT(AwaitLine(asyncproc::MustSpawn({"printf", "a\nready\nnext\n"})),
              IsOk());
  ReadText(asyncproc::MustSpawn({"printf", "title\ntext\n\n"}));
  EXPECT_THAT(FollowProgress(asyncproc::MustSpawn({"true"})), IsOk());
  EXPECT_THAT(AwaitPrompt(asyncproc::MustSpawn({"echo", "password: "})),
              IsOk());
  const std::string message = "Content-Length: 2\r\n\r\n{}";
  EXPECT_THAT(AskLanguageServer(asyncproc::MustSpawn({"cat"}), message),
              IsOk());
}

TEST(HeaderExamplesTest, PrintTheOutputOfTheirComments) {
  testing::internal::CaptureStdout();
  const absl::Status polled = PollPrinter();
  const absl::Status buffered =
      PollBuffering({{"echo", "first"}, {"true"}, {"true"}});
  const absl::Status reacted = RunReactor();
  PrintLine("\033[1mbold\033[0m\a");
  const std::string printed = testing::internal::GetCapturedStdout();

  EXPECT_THAT(polled, IsOk());
  EXPECT_THAT(printed, HasSubstr("sums: 42\n"));
  EXPECT_THAT(printed, HasSubstr("exited with status 0"));
  EXPECT_THAT(buffered, IsOk());
  EXPECT_THAT(printed, HasSubstr("first\n"));
  EXPECT_THAT(reacted, IsOk());
  EXPECT_THAT(printed, HasSubstr("5\n"));
  EXPECT_THAT(printed, HasSubstr("bold\\x07\n"));
}

TEST(HeaderExamplesTest, RecordIntoAFile) {
  const asyncproc::TemporaryDirectory directory;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  EXPECT_THAT(Record(), IsOk());
  std::filesystem::current_path(before);

  EXPECT_THAT(directory.Read("session.cast"), HasSubstr("\"version\":2"));
}

// ---- The copies equal the examples in the headers.

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return absl::StrSplit(text, '\n');
}

// Removes the white space, and splits at each omission: a line, or a comment at
// the end of a line, that is "...".
std::vector<std::string> Parts(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    absl::string_view code = absl::StripAsciiWhitespace(line);
    const bool left_out = absl::ConsumeSuffix(&code, "...");
    if (left_out) absl::ConsumeSuffix(&code, "// ");
    absl::StrAppend(&text, code, left_out ? "\1" : "");
  }
  text.erase(std::remove_if(text.begin(), text.end(), isspace), text.end());
  return absl::StrSplit(text, '\1');
}

// The text of a comment that is indented like code; empty for other lines.
std::string CodeInComment(absl::string_view line) {
  line = absl::StripLeadingAsciiWhitespace(line);
  return absl::ConsumePrefix(&line, "//   ") ? std::string(line) : "";
}

struct Example {
  std::string header;
  std::vector<std::string> lines;
};

// The indented parts of the header's comments that use this library.
std::vector<Example> ExamplesIn(const std::string& header) {
  std::vector<Example> examples;
  Example current{header, {}};
  for (const std::string& line : Lines(header)) {
    const std::string code = CodeInComment(line);
    if (!code.empty()) {
      current.lines.push_back(code);
    } else if (!current.lines.empty()) {
      const std::string text = absl::StrJoin(current.lines, "\n");
      if (absl::StrContains(text, "asyncproc::") &&
          absl::StrContains(text, ";")) {
        examples.push_back(current);
      }
      current.lines.clear();
    }
  }
  return examples;
}

// The code between the marks that name `header`.
std::string CompiledFor(const std::string& header) {
  std::vector<std::string> found;
  bool inside = false;
  for (const std::string& line : Lines("tests/header_examples_test.cc")) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text == "// end") inside = false;
    if (inside) found.push_back(line);
    if (text == absl::StrCat("// ", header, ": begin")) inside = true;
  }
  return absl::StrJoin(Parts(found), "");
}

TEST(HeaderExamplesTest, AreTheOnesThatAreCompiled) {
  int count = 0;
  for (const char* folder : {"asyncproc", "asyncproc/testing"}) {
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (file.path().extension() != ".h") continue;
      const std::string name(
          absl::StripPrefix(file.path().string(), "asyncproc/"));
      const std::string compiled = CompiledFor(name);
      for (const Example& example : ExamplesIn(file.path())) {
        ++count;
        for (const std::string& part : Parts(example.lines)) {
          EXPECT_THAT(compiled, HasSubstr(part)) << name;
        }
      }
    }
  }
  EXPECT_GE(count, 30);
}

}  // namespace
