// The examples in README.md, compiled and run, and the projects in
// asyncproc/README.md, which tests/embed/run builds.
//
// The lines between two marks here are the lines of a C++ block in README.md,
// in the same order.

#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/child.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/expect.h"
#include "asyncproc/monitor.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/process_protocol.h"
#include "asyncproc/readiness.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/run.h"
#include "asyncproc/termination.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/transcript.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace {

using asyncproc::HasCode;
using asyncproc::IsOk;
using asyncproc::IsOkAndHolds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

// README: begin
absl::StatusOr<std::string> Calculate(absl::string_view sum) {
  auto bc = asyncproc::Process::Spawn(asyncproc::Command({"bc", "-q"}));
  if (!bc.ok()) return bc.status();  // Names the file and the PATH searched.
  absl::Status status = (*bc)->Write(absl::StrCat(sum, "\n"));  // Never blocks.
  if (!status.ok()) return status;
  auto answer = (*bc)->out().ReadLine(absl::Seconds(5));
  if (!answer.ok()) return answer.status();  // Names the command and the time.
  auto end = (*bc)->Terminate();  // Closes stdin; then signals, if necessary.
  if (!end.ok()) return end.status();
  std::cerr << "bc: " << *end << "\n";  // bc: exited with status 0
  return *answer;                       // Calculate("6*7"): "42"
}
// README: end

// README: begin
absl::StatusOr<std::string> Factorial(int n) {
  auto python = asyncproc::Repl::Start(asyncproc::PythonDialect());
  if (!python.ok()) return python.status();
  auto reply = (*python)->Eval("import math", absl::Seconds(20));
  if (!reply.ok()) return reply.status();  // A timeout, or python3 ended.
  reply = (*python)->Eval(absl::StrCat("math.factorial(", n, ")"),
                          absl::Seconds(20));
  if (!reply.ok()) return reply.status();
  // Python raised an exception; err has the traceback.
  if (reply->status != 0) return absl::UnknownError(reply->err);
  return reply->out;  // Factorial(5): "120\n"
}
// README: end

// README: begin
absl::Status WithServer(const std::function<void(const std::string&)>& test) {
  asyncproc::Command command({"python3", "-u", "-m", "http.server", "0"});
  command.in = asyncproc::Stdio::Null();
  auto server = asyncproc::Process::Spawn(command);
  if (!server.ok()) return server.status();
  auto ready = asyncproc::WaitUntilReady(
      **server, asyncproc::ReadyCondition::Line("port (\\d+)"),
      absl::Seconds(20));
  if (!ready.ok()) return ready.status();  // Has the last lines of the server.
  test(ready->groups[0]);                  // The port.
  return (*server)->Terminate().status();  // SIGTERM; SIGKILL after 1 s.
}
// README: end

// README: begin
absl::Status RunLive(const asyncproc::Command& command, absl::Duration limit) {
  asyncproc::RunOptions options;
  options.check = true;     // An exit status other than 0 is an error.
  options.timeout = limit;  // The command and its descendants end then.
  options.on_out = [](absl::string_view piece) {
    std::cout << piece << std::flush;
    return absl::OkStatus();
  };
  return asyncproc::Run(command, options).status();
}
// README: end

// README: begin
absl::StatusOr<std::map<std::string, std::string>> Checksums(
    const std::vector<std::string>& files) {
  asyncproc::PollerOptions options;
  options.max_running = 4;  // The others wait in a queue.
  asyncproc::BufferingProcessPoller<std::string> poller(options);
  absl::Status status;
  for (const std::string& file : files) {
    status.Update(poller.Run(file, asyncproc::Command({"sha256sum", file})));
  }
  status.Update(poller.Poll());  // Blocks until all have ended.
  if (!status.ok()) return status;
  std::map<std::string, std::string> sums;
  for (const std::string& file : files) sums[file] = poller.output(file).out;
  return sums;
}
// README: end

// README: begin
absl::Status RunWithBar(const asyncproc::Command& command) {
  auto parser = asyncproc::ProgressParser::Create(
      R"(\((\d+)%\))", [](const asyncproc::Progress& progress) {
        const auto percent = static_cast<size_t>(progress.value.value_or(0));
        std::cout << std::string(percent / 10, '#') << "\r" << std::flush;
      });
  if (!parser.ok()) return parser.status();
  asyncproc::RunOptions options;
  options.on_err = [&](absl::string_view piece) {
    (*parser)->Feed(piece);
    return absl::OkStatus();
  };
  return asyncproc::Run(command, options).status();
}
// README: end

// README: begin
absl::StatusOr<bool> LogIn(asyncproc::Command command, std::string password) {
  command.pty = asyncproc::Pty{24, 80, /*echo=*/false};
  auto child = asyncproc::Process::Spawn(command);
  if (!child.ok()) return child.status();
  asyncproc::Expect expect(child->get());
  using asyncproc::Pattern;
  auto found = expect.Await(Pattern::Literal("Password: "), absl::Seconds(10));
  if (!found.ok()) return found.status();  // Has the text that came instead.
  absl::Status status = (*child)->Write(password + "\n");
  if (!status.ok()) return status;
  found = expect.Await({Pattern::Literal("Welcome"), Pattern::Literal("Sorry")},
                       absl::Seconds(10));
  if (!found.ok()) return found.status();
  return found->index == 0;
}
// README: end

// README: begin
absl::StatusOr<std::string> Ask(asyncproc::Child& bc, absl::string_view sum) {
  absl::Status status = bc.Write(absl::StrCat(sum, "\n"));
  if (!status.ok()) return status;
  return bc.out().ReadLine(absl::Seconds(5));
}
// README: end

// README: begin
absl::Status Record(const std::string& path) {
  auto recorder = asyncproc::Recorder::ToFile(path);
  if (!recorder.ok()) return recorder.status();
  asyncproc::Command command({"bc", "-q"});
  command.observer = *recorder;
  auto bc = asyncproc::Process::Spawn(command);
  if (!bc.ok()) return bc.status();
  if (auto answer = Ask(**bc, "6*7"); !answer.ok()) return answer.status();
  return (*recorder)->Close();
}
// README: end

// README: begin
void TestAsk(const std::string& path) {
  auto recording = asyncproc::Transcript::Load(path);
  ASSERT_TRUE(recording.ok()) << recording.status();
  auto bc = asyncproc::ReplayProcess::Start(*recording);
  ASSERT_TRUE(bc.ok()) << bc.status();
  EXPECT_EQ(Ask(**bc, "6*7").value_or(""), "42");
  EXPECT_TRUE((*bc)->CheckComplete().ok());
}
// README: end

// README: begin
absl::Status RunUntilCanceled(const asyncproc::Command& command,
                              const asyncproc::CancellationToken& token) {
  auto process = asyncproc::Process::Spawn(command);
  if (!process.ok()) return process.status();
  {
    asyncproc::CancellationScope scope(token);
    auto status = (*process)->Wait();  // Until another thread calls Cancel.
    if (!absl::IsCancelled(status.status())) return status.status();
  }
  auto everything = asyncproc::Escalation::Standard(absl::Seconds(1));
  everything.scope = asyncproc::TerminationScope::kTree;
  return (*process)->Terminate(everything).status();
}
// README: end

// README: begin
class Printer : public asyncproc::ProcessProtocol {
  void OutReceived(absl::string_view data) override { std::cout << data; }
  void ProcessEnded(const absl::StatusOr<asyncproc::ExitStatus>& end) override {
    if (end.ok() && end->ok()) std::cout << "done\n";
  }
};

absl::Status PrintOutput(const asyncproc::Command& command) {
  auto reactor = asyncproc::Reactor::Create();
  if (!reactor.ok()) return reactor.status();
  auto status = (*reactor)->Spawn(std::make_shared<Printer>(), command);
  if (!status.ok()) return status;
  return (*reactor)->RunUntilAllEnded(absl::Seconds(10));
}
// README: end

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return absl::StrSplit(text, '\n');
}

// The blocks between each `begin` line and the next `end` line.
std::vector<std::string> Blocks(const std::vector<std::string>& lines,
                                absl::string_view begin,
                                absl::string_view end) {
  std::vector<std::string> blocks;
  std::vector<absl::string_view> found;
  bool inside = false;
  for (absl::string_view line : lines) {
    if (inside && line == end) {
      blocks.push_back(absl::StrJoin(found, "\n"));
      found.clear();
      inside = false;
    } else if (inside) {
      found.push_back(line);
    } else if (line == begin) {
      inside = true;
    }
  }
  return blocks;
}

class ReadmeTest : public testing::Test {
 protected:
  std::string Path(absl::string_view name) const {
    return absl::StrCat(testing::TempDir(), "/", name);
  }
};

// The output of `function` on stdout.
std::string Printed(const std::function<void()>& function) {
  testing::internal::CaptureStdout();
  function();
  return testing::internal::GetCapturedStdout();
}

TEST_F(ReadmeTest, TheFirstExampleDoesAsItsCommentsDescribe) {
  testing::internal::CaptureStderr();

  const auto answer = Calculate("6*7");

  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "bc: exited with status 0\n");
  EXPECT_THAT(answer, IsOkAndHolds("42"));
}

TEST_F(ReadmeTest, ARepl) {
  EXPECT_THAT(Factorial(5), IsOkAndHolds("120\n"));
  EXPECT_THAT(Factorial(-1), HasCode(absl::StatusCode::kUnknown));
}

TEST_F(ReadmeTest, AServer) {
  std::string port;

  EXPECT_THAT(WithServer([&](const std::string& p) { port = p; }), IsOk());

  EXPECT_NE(port, "");
}

TEST_F(ReadmeTest, ACommandWithATimeLimit) {
  absl::Status status;

  EXPECT_EQ(Printed([&] {
              status = RunLive({"echo", "hello"}, asyncproc::kNeverReached);
            }),
            "hello\n");
  EXPECT_THAT(status, IsOk());

  EXPECT_THAT(RunLive({"false"}, asyncproc::kNeverReached),
              HasCode(absl::StatusCode::kAborted));
  EXPECT_THAT(RunLive({"sleep", "1000"}, absl::Milliseconds(50)),
              HasCode(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ReadmeTest, ManyCommands) {
  const std::string file = Path("empty");
  std::ofstream{file};

  const auto sums = Checksums({file, "/dev/null"});

  ASSERT_THAT(sums, IsOk());
  EXPECT_THAT(*sums, ElementsAre(Pair("/dev/null", StartsWith("e3b0c44298fc")),
                                 Pair(file, StartsWith("e3b0c44298fc"))));
  std::filesystem::remove(file);
}

TEST_F(ReadmeTest, AProgressBar) {
  absl::Status status;

  EXPECT_EQ(Printed([&] {
              status = RunWithBar(asyncproc::Command::Shell(
                  "printf 'half (50%%)\\rall (100%%)\\r' >&2"));
            }),
            "#####\r##########\r");
  EXPECT_THAT(status, IsOk());
}

TEST_F(ReadmeTest, ATerminal) {
  const auto login = asyncproc::Command::Shell(
      "printf 'Password: '; read -r word; "
      "[ $word = secret ] && echo Welcome || echo Sorry");

  EXPECT_THAT(LogIn(login, "secret"), IsOkAndHolds(true));
  EXPECT_THAT(LogIn(login, "guess"), IsOkAndHolds(false));
}

TEST_F(ReadmeTest, ARecording) {
  const std::string path = Path("bc.jsonl");

  ASSERT_THAT(Record(path), IsOk());

  TestAsk(path);
  std::filesystem::remove(path);
}

TEST_F(ReadmeTest, StoppingAll) {
  const asyncproc::CancellationToken token;
  std::thread stopper([&] { token.Cancel(); });

  // Without the escalation, the sleep would not end.
  EXPECT_THAT(
      RunUntilCanceled(asyncproc::Command::Shell("sleep 1000 & wait"), token),
      IsOk());
  stopper.join();

  EXPECT_THAT(RunUntilCanceled({"true"}, asyncproc::CancellationToken()),
              IsOk());
}

TEST_F(ReadmeTest, AnEventLoop) {
  absl::Status status;

  EXPECT_EQ(Printed([&] {
              status = PrintOutput({"echo", "hello"});
            }),
            "hello\ndone\n");
  EXPECT_THAT(status, IsOk());
}

TEST_F(ReadmeTest, HasTheExamplesThatAreCompiled) {
  const std::vector<std::string> code = Blocks(
      Lines("tests/readme_test.cc"), "// README: begin", "// README: end");
  ASSERT_GE(code.size(), 12u);

  EXPECT_EQ(Blocks(Lines("README.md"), "```cpp", "```"), code);
}

// The text of a project's file, with asyncproc in the folder that README.md
// names.
std::string ProjectFile(const std::string& path) {
  return absl::StrReplaceAll(absl::StrJoin(Lines("tests/embed/" + path), "\n"),
                             {{"../../..", "third_party/asyncproc"}});
}

TEST_F(ReadmeTest, TheLibrarysReadmeHasTheProjectsThatAreTested) {
  const std::string readme = absl::StrJoin(Lines("asyncproc/README.md"), "\n");

  for (const char* path : {"module/.bazelignore", "module/.bazelrc",
                           "module/MODULE.bazel", "workspace/.bazelignore",
                           "workspace/.bazelrc", "workspace/WORKSPACE"}) {
    const std::string text = ProjectFile(path);
    ASSERT_NE(text, "") << path;
    EXPECT_THAT(readme, HasSubstr("\n" + text + "```\n")) << path;
  }
  // The first target of the build file that both projects share.
  const std::string build = ProjectFile("workspace/BUILD.bazel");
  EXPECT_EQ(ProjectFile("module/BUILD.bazel"), build);
  EXPECT_THAT(
      readme,
      HasSubstr("\n" + build.substr(0, build.find("\n)\n") + 3) + "```\n"));
}

}  // namespace
