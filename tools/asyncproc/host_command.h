#ifndef ASYNCPROC_TOOLS_ASYNCPROC_HOST_COMMAND_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_HOST_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"

namespace asyncproc::cli {

// Where commands are run: --via and --hosts, understood once.
//
//   auto targets = Targets::FromFlags();
//   if (!targets.ok()) return targets.status();
//   for (const std::string& host : targets->hosts()) {
//     Command there = targets->On(host, command);
//
// `via` is split into words as a shell does it: quotes and backslashes keep
// spaces together. If its first word is an ssh ("ssh",
// "/opt/bin/ssh"), Command::OverSsh is used: what is before the word with
// {host} in it, or before the last one where none has, are ssh's own options;
// what is behind it goes before the command there, as "nice" does in "ssh
// {host} nice". A host that does not answer within ten seconds is given up,
// unless ssh's options say otherwise. Any other is put before the command as it
// is: Command::Via.
//
// A value. Thread safety: as a struct.
class Targets {
 public:
  // Errors: kInvalidArgument when {host} is there without hosts, or hosts are
  // without {host}, or a quote is not closed.
  static absl::StatusOr<Targets> Create(absl::string_view via,
                                        std::vector<std::string> hosts);
  static absl::StatusOr<Targets> FromFlags();

  // Where to run: {""} for this machine alone, or for one that `via` names.
  const std::vector<std::string>& hosts() const { return hosts_; }
  // Whether it is run by another command at all.
  bool remote() const { return !words_.empty(); }
  bool over_ssh() const { return over_ssh_; }

  // `command` as it is to be started for `host`, which is one of hosts().
  Command On(absl::string_view host, const Command& command) const;

 private:
  std::vector<std::string> words_;  // Of `via`.
  std::vector<std::string> hosts_;
  bool over_ssh_ = false;
  size_t host_word_ = 0;  // Which of words_ is ssh's host.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_HOST_COMMAND_H_
