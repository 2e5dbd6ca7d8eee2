#include "tools/asyncproc/run_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

namespace asyncproc::cli {

namespace {

using nlohmann::json;

json UsageJson(const ResourceUsage& usage) {
  return {{"wall_seconds", absl::ToDoubleSeconds(usage.wall_time)},
          {"user_seconds", absl::ToDoubleSeconds(usage.user_time)},
          {"system_seconds", absl::ToDoubleSeconds(usage.system_time)},
          {"max_rss_bytes", usage.max_rss_bytes}};
}

// Writes a Survivor or a PipeHolder.
template <typename Processes>
json ProcessesJson(const Processes& processes) {
  json list = json::array();
  for (const auto& process : processes) {
    list.push_back({{"pid", process.pid}, {"command", process.command}});
  }
  return list;
}

template <typename Processes>
std::string ProcessesText(const Processes& processes) {
  return absl::StrJoin(processes, ", ", [](std::string* out, const auto& p) {
    absl::StrAppend(out, p.command, " (pid ", p.pid, ")");
  });
}

json StreamJson(const StreamReport& stream) {
  return {{"bytes", stream.bytes}, {"left_out", stream.left_out}};
}

}  // namespace

std::string ToJson(const RunReport& report) {
  json j = {{"command", report.command},
            {"pid", report.pid},
            {"exit_code", report.exit_code},
            {"ended_because", nullptr},
            {"survivors", ProcessesJson(report.survivors)},
            {"held_by", ProcessesJson(report.held_by)},
            {"stdout", StreamJson(report.out)},
            {"stderr", StreamJson(report.err)}};
  if (!report.host.empty()) j["host"] = report.host;
  if (!report.error.empty()) j["error"] = report.error;
  if (!report.ended_because.empty()) j["ended_because"] = report.ended_because;
  if (report.ended_by_step.has_value()) {
    j["ended_by_step"] = *report.ended_by_step;
    j["ended_by"] = report.ended_by;
  }
  if (report.ready_after.has_value()) {
    j["ready_seconds"] = absl::ToDoubleSeconds(*report.ready_after);
    j["ready_line"] = report.ready_line;
  }
  if (report.status.has_value()) {
    const ExitStatus& status = *report.status;
    j["status"] = status.ToString();
    if (status.signaled()) {
      j["signal"] = status.term_signal();
      j["signal_name"] = SignalName(status.term_signal());
      j["core_dumped"] = status.core_dumped();
    } else {
      j["code"] = status.exit_code();
    }
    j["output_complete"] = status.output_complete();
    j["usage"] = UsageJson(status.usage());
  }
  // Bytes of a command that are not UTF-8 must not make this fail.
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string ToText(const RunReport& report) {
  std::string text = absl::StrCat(
      report.host.empty() ? "" : absl::StrCat(report.host, ": "),
      report.command, ": ",
      report.status.has_value() ? report.status->ToString() : report.error);
  if (!report.ended_because.empty()) {
    absl::StrAppend(&text, "\n  ended because of: ", report.ended_because);
  }
  if (report.ended_by_step.has_value()) {
    absl::StrAppend(&text, "\n  ended by step ", *report.ended_by_step + 1,
                    ": ", report.ended_by);
  }
  if (!report.survivors.empty()) {
    absl::StrAppend(&text,
                    "\n  still running: ", ProcessesText(report.survivors));
  }
  if (!report.held_by.empty()) {
    absl::StrAppend(&text, "\n  its output is held open by: ",
                    ProcessesText(report.held_by));
  }
  if (report.ready_after.has_value()) {
    absl::StrAppend(&text, "\n  ready after ",
                    absl::FormatDuration(*report.ready_after), ": ",
                    report.ready_line);
  }
  if (report.status.has_value()) {
    const ResourceUsage& usage = report.status->usage();
    absl::StrAppendFormat(&text,
                          "\n  %.3f s, user %.3f s, system %.3f s, %.1f MiB",
                          absl::ToDoubleSeconds(usage.wall_time),
                          absl::ToDoubleSeconds(usage.user_time),
                          absl::ToDoubleSeconds(usage.system_time),
                          static_cast<double>(usage.max_rss_bytes) / 1048576);
  }
  absl::StrAppend(&text, "\n  stdout ", report.out.bytes, " bytes, stderr ",
                  report.err.bytes, " bytes");
  const uint64_t left_out = report.out.left_out + report.err.left_out;
  if (left_out > 0) absl::StrAppend(&text, ", ", left_out, " not shown");
  return text;
}

}  // namespace asyncproc::cli
