#ifndef ASYNCPROC_TESTS_LOOPBACK_SSHD_H_
#define ASYNCPROC_TESTS_LOOPBACK_SSHD_H_

#include <memory>
#include <string>
#include <vector>

#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "tests/testing.h"

namespace asyncproc {

// A real OpenSSH server on a loopback port, with keys of its own, and what
// reaches it: neither the user's configuration nor any known host is touched.
//
//   LoopbackSshd sshd;
//   OutputOf(Command({"hostname"}).OverSsh(sshd.host(), sshd.options()));
//
// Its destructor ends it, and every connection to it, with the master of those
// that are shared.
class LoopbackSshd {
 public:
  // Fails the program when it cannot be started.
  LoopbackSshd();
  ~LoopbackSshd();

  // A name that only `ssh` knows; another is "other".
  std::string host() const { return "loopback"; }
  // {"ssh", "-F", <a configuration with that host>}.
  std::vector<std::string> ssh() const;
  // With that, and a shared connection whose socket is in a folder of its own.
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
