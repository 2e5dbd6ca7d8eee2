#ifndef ASYNCPROC_TOOLS_ASYNCPROC_HOST_COMMAND_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_HOST_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"

namespace asyncproc::cli {

// The hosts that run commands, from --via and --hosts.
//
//   auto targets = Targets::FromFlags();
//   if (!targets.ok()) return targets.status();
//   for (const std::string& host : targets->hosts()) {
//     Command there = targets->On(host, command);
//
// `via` is split into words by a shell's rules: quotes and backslashes keep
// spaces together. If the first word is an ssh ("ssh", "/opt/bin/ssh"),
// Command::OverSsh is used: the words before the one with {host}, or before the
// last word if none has it, are options of ssh; the words after it go before
// the command on the host, as "nice" in "ssh {host} nice". A host that does not
// answer within ten seconds is given up, unless the options of ssh differ. Any
// other program goes before the command: Command::Via.
//
// A value. Thread safety: as a struct.
class Targets {
 public:
  // Errors: kInvalidArgument for {host} without hosts, hosts without {host},
  // and a quote that is not closed.
  static absl::StatusOr<Targets> Create(absl::string_view via,
                                        std::vector<std::string> hosts);
  static absl::StatusOr<Targets> FromFlags();

  // The hosts; {""} for this machine, or for the one host that `via` names.
  const std::vector<std::string>& hosts() const { return hosts_; }
  // Whether another program runs the command at all.
  bool remote() const { return !words_.empty(); }
  bool over_ssh() const { return over_ssh_; }

  // The command that runs `command` on `host`, which is one of hosts().
  Command On(absl::string_view host, const Command& command) const;

 private:
  std::vector<std::string> words_;  // The words of `via`.
  std::vector<std::string> hosts_;
  bool over_ssh_ = false;
  size_t host_word_ = 0;  // The index in words_ of ssh's host.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_HOST_COMMAND_H_
