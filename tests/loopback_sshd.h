#ifndef ASYNCPROC_TESTS_LOOPBACK_SSHD_H_
#define ASYNCPROC_TESTS_LOOPBACK_SSHD_H_

#include <memory>
#include <string>
#include <vector>

#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "tests/testing.h"

namespace asyncproc {

// A real OpenSSH server on a loopback port, with keys of its own and a client
// configuration. It does not use the user's configuration or known hosts.
//
//   LoopbackSshd sshd;
//   OutputOf(Command({"hostname"}).OverSsh(sshd.host(), sshd.options()));
//
// The destructor ends the server and all connections to it, including the
// masters of shared connections.
class LoopbackSshd {
 public:
  // Aborts the program if the server cannot start.
  LoopbackSshd();
  ~LoopbackSshd();

  // A host name that only ssh() knows. "other" is a second name of the same
  // server.
  std::string host() const { return "loopback"; }
  // {"ssh", "-F", <a configuration with these hosts>}.
  std::vector<std::string> ssh() const;
  // ssh(), with a shared connection whose socket is in a folder of its own.
  SshOptions options() const;

 private:
  bool Start();

  TemporaryDirectory directory_;
  // The path of a socket must be short.
  std::string sockets_ = "/tmp/asyncproc-XXXXXX";
  std::string config_;
  std::unique_ptr<Process> server_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_LOOPBACK_SSHD_H_
