#include "tools/asyncproc/host_command.h"

#include <algorithm>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tools/asyncproc/flags.h"

namespace asyncproc::cli {

namespace {

bool HasHost(absl::string_view word) {
  return absl::StrContains(word, "{host}");
}

std::string WithHost(absl::string_view word, absl::string_view host) {
  return absl::StrReplaceAll(word, {{"{host}", host}});
}

}  // namespace

absl::StatusOr<Targets> Targets::FromFlags() {
  return Create(absl::GetFlag(FLAGS_via), absl::GetFlag(FLAGS_hosts));
}

absl::StatusOr<Targets> Targets::Create(absl::string_view via,
                                        std::vector<std::string> hosts) {
  Targets targets;
  if (via.empty() && !hosts.empty()) via = "ssh {host}";
  targets.words_ =
      absl::StrSplit(via, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  const std::vector<std::string>& words = targets.words_;
  const auto word = std::find_if(words.begin(), words.end(), HasHost);
  if (hosts.empty() && word != words.end()) {
    return absl::InvalidArgumentError("--via has {host}: which --hosts?");
  }
  if (!hosts.empty() && word == words.end()) {
    return absl::InvalidArgumentError("--via has no {host} for --hosts");
  }
  if (std::any_of(hosts.begin(), hosts.end(),
                  [](const std::string& host) { return host.empty(); })) {
    return absl::InvalidArgumentError("one of --hosts is empty");
  }
  targets.hosts_ =
      hosts.empty() ? std::vector<std::string>{""} : std::move(hosts);
  if (words.empty()) return targets;
  const std::string program = words[0].substr(words[0].rfind('/') + 1);
  if (program != "ssh") return targets;
  if (words.size() < 2) {
    return absl::InvalidArgumentError("--via ssh: to which host?");
  }
  targets.over_ssh_ = true;
  targets.host_word_ = word == words.end()
                           ? words.size() - 1
                           : static_cast<size_t>(word - words.begin());
  return targets;
}

Command Targets::On(absl::string_view host, const Command& command) const {
  if (words_.empty()) return command;
  std::vector<std::string> words;
  for (const std::string& word : words_) words.push_back(WithHost(word, host));
  if (!over_ssh_) return command.Via(std::move(words));
  const auto at = words.begin() + static_cast<ptrdiff_t>(host_word_);
  const Command there =
      at + 1 == words.end() ? command : command.Via({at + 1, words.end()});
  SshOptions options;
  options.ssh.assign(words.begin(), at);
  return there.OverSsh(*at, options);
}

}  // namespace asyncproc::cli
