// Qt's QProcess by its synchronous calls, which need no event loop.

#include <QByteArray>
#include <QProcess>
#include <QString>
#include <QStringList>
#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/log/check.h"
#include "tools/bench/bench.h"
#include "tools/bench/works.h"

namespace asyncproc::bench {
namespace {

constexpr int kForever = -1;

QString Program(absl::string_view name) {
  return QString::fromStdString(Child(name));
}

void MustFinish(QProcess& process) {
  CHECK(process.state() == QProcess::NotRunning ||
        process.waitForFinished(kForever));
  CHECK_EQ(process.exitCode(), 0);
}

void Spawn(benchmark::State& state) {
  const QString program = Program("exit_at_once");
  for (auto _ : state) {
    QProcess process;
    process.start(program, QStringList());
    MustFinish(process);
    CHECK(process.readAllStandardOutput().isEmpty());
    CHECK(process.readAllStandardError().isEmpty());
  }
}
ASYNCPROC_BENCHMARK(Spawn, "spawn/qt");

void Drain(benchmark::State& state) {
  const int64_t size = Scaled(kDrained);
  for (auto _ : state) {
    QProcess process;
    process.start(Program("write_bytes"), {QString::number(size)});
    int64_t count = 0;
    while (process.waitForReadyRead(kForever)) {
      count += process.readAllStandardOutput().size();
    }
    count += process.readAllStandardOutput().size();
    MustFinish(process);
    CHECK_EQ(count, size);
  }
}
ASYNCPROC_BENCHMARK(Drain, "drain/qt");

void Capture(benchmark::State& state) {
  const int64_t size = Scaled(kCaptured);
  for (auto _ : state) {
    QProcess process;
    process.start(Program("write_bytes"), {QString::number(size)});
    MustFinish(process);
    CHECK_EQ(process.readAllStandardOutput().size(), size);
  }
}
ASYNCPROC_BENCHMARK(Capture, "capture/qt");

void Lines(benchmark::State& state) {
  const int64_t lines = Scaled(kLines);
  for (auto _ : state) {
    QProcess process;
    process.start(Program("write_lines"), {QString::number(lines)});
    int64_t count = 0;
    do {
      while (process.canReadLine()) count += process.readLine().size() == 80;
    } while (process.waitForReadyRead(kForever));
    while (process.canReadLine()) count += process.readLine().size() == 80;
    MustFinish(process);
    CHECK_EQ(count, lines);
  }
}
ASYNCPROC_BENCHMARK(Lines, "lines/qt");

void RoundTrip(benchmark::State& state) {
  QProcess process;
  process.start(Program("echo"), QStringList());
  CHECK(process.waitForStarted(kForever));
  for (auto _ : state) {
    process.write(kLine.data(), static_cast<qint64>(kLine.size()));
    while (!process.canReadLine()) CHECK(process.waitForReadyRead(kForever));
    CHECK_EQ(process.readLine().size(), static_cast<int>(kLine.size()));
  }
  process.closeWriteChannel();
  MustFinish(process);
}
ASYNCPROC_BENCHMARK(RoundTrip, "round_trip/qt");

void Feed(benchmark::State& state) {
  const int64_t size = Scaled(kFed);
  const std::string chunk(kBuffer, '.');
  for (auto _ : state) {
    QProcess process;
    process.start(Program("read_all"), QStringList());
    for (int64_t left = size; left > 0; left -= kBuffer) {
      process.write(chunk.data(), std::min<int64_t>(left, kBuffer));
      // Else all of it would be kept in memory.
      while (process.bytesToWrite() > 0) {
        CHECK(process.waitForBytesWritten(kForever));
      }
    }
    process.closeWriteChannel();
    MustFinish(process);
  }
}
ASYNCPROC_BENCHMARK(Feed, "feed/qt");

}  // namespace
}  // namespace asyncproc::bench
