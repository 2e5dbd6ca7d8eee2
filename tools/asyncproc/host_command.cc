#include "tools/asyncproc/host_command.h"

#include <algorithm>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tools/asyncproc/flags.h"

namespace asyncproc::cli {

namespace {

// Splits `text` into words, with quotes and backslashes as in a shell; no other
// character is special.
absl::StatusOr<std::vector<std::string>> SplitWords(absl::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool has_next = i + 1 < text.size();
    if (quote != 0 && c == quote) {
      quote = 0;
    } else if (c == '\\' && quote == 0 && has_next) {
      word += text[++i];
      in_word = true;
    } else if (c == '\\' && quote == '"' && has_next &&
               absl::StrContains("\"\\$`", text[i + 1])) {
      word += text[++i];
    } else if (quote != 0) {
      word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (absl::ascii_isspace(c)) {
      if (in_word) words.push_back(std::exchange(word, ""));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--via: a quote is not closed: ", absl::string_view(&quote, 1)));
  }
  if (in_word) words.push_back(word);
  return words;
}

// Gives up a host that does not answer, unless the user's options of ssh
// differ.
void AddConnectTimeout(std::vector<std::string>* ssh) {
  for (const std::string& word : *ssh) {
    if (absl::StrContains(absl::AsciiStrToLower(word), "connecttimeout")) {
      return;
    }
  }
  ssh->insert(ssh->end(), {"-o", "ConnectTimeout=10"});
}

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
  absl::StatusOr<std::vector<std::string>> split = SplitWords(via);
  if (!split.ok()) return split.status();
  targets.words_ = *std::move(split);
  if (!via.empty() && targets.words_.empty()) {
    return absl::InvalidArgumentError("--via names no program");
  }
  const std::vector<std::string>& words = targets.words_;
  const auto word = std::find_if(words.begin(), words.end(), HasHost);
  if (hosts.empty() && word != words.end()) {
    return absl::InvalidArgumentError(
        "--via has {host}, but there are no --hosts");
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
    return absl::InvalidArgumentError("--via ssh: no host is given");
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
  AddConnectTimeout(&options.ssh);
  return there.OverSsh(*at, options);
}

}  // namespace asyncproc::cli
