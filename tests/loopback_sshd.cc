#include "tests/loopback_sshd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/readiness.h"
#include "asyncproc/run.h"

namespace asyncproc {
namespace {

// A port that is free at the moment.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_GE(fd, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  CHECK_EQ(bind(fd, generic, size), 0);
  CHECK_EQ(getsockname(fd, generic, &size), 0);
  close(fd);
  return ntohs(address.sin_port);
}

void MakeKey(const std::string& path) {
  CHECK_OK(Check({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path}));
}

}  // namespace

LoopbackSshd::LoopbackSshd() {
  CHECK(mkdtemp(sockets_.data()) != nullptr) << sockets_;
  const std::string& dir = directory_.path();
  MakeKey(absl::StrCat(dir, "/host_key"));
  MakeKey(absl::StrCat(dir, "/user_key"));
  // sshd needs this folder when it runs as root, and only systemd creates it.
  if (geteuid() == 0) mkdir("/run/sshd", 0755);
  // Another program may take the port first.
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (Start()) return;
  }
  LOG(FATAL) << "cannot start sshd: " << server_->ReadErr();
}

bool LoopbackSshd::Start() {
  const std::string& dir = directory_.path();
  const int port = FreePort();
  const std::string server_config = directory_.Write(
      "sshd_config",
      absl::StrCat("Port ", port, "\nListenAddress 127.0.0.1\nHostKey ", dir,
                   "/host_key\nAuthorizedKeysFile ", dir,
                   "/user_key.pub\nStrictModes no\nUsePAM no\nPidFile none\n"
                   "PasswordAuthentication no\nMaxSessions 100\n"
                   "MaxStartups 100\n"));
  config_ = directory_.Write(
      "ssh_config",
      absl::StrCat("Host loopback other\n  HostName 127.0.0.1\n  Port ", port,
                   "\n  IdentityFile ", dir,
                   "/user_key\n  IdentitiesOnly yes\n  UserKnownHostsFile ",
                   dir, "/known_hosts\n  StrictHostKeyChecking no\n",
                   "  LogLevel ERROR\n"));
  Command command({"/usr/sbin/sshd", "-D", "-e", "-f", server_config});
  command.in = Stdio::Null();
  server_ = MustSpawn(command);
  return WaitUntilReady(*server_, ReadyCondition::Line("listening on"),
                        kNeverReached)
      .ok();
}

LoopbackSshd::~LoopbackSshd() {
  // Ends the masters of shared connections.
  for (const char* host : {"loopback", "other"}) {
    std::vector<std::string> words = ssh();
    words.insert(words.end(),
                 {"-o", absl::StrCat("ControlPath=", options().control_path),
                  "-O", "exit", host});
    Run(Command(words)).IgnoreError();
  }
  // Each connection is a child of the server.
  Escalation escalation = Escalation::Standard(absl::Seconds(1));
  escalation.scope = TerminationScope::kTree;
  EXPECT_THAT(server_->Terminate(escalation), IsOk());
  std::filesystem::remove_all(sockets_);
}

std::vector<std::string> LoopbackSshd::ssh() const {
  return {"ssh", "-F", config_};
}

SshOptions LoopbackSshd::options() const {
  SshOptions options;
  options.ssh = ssh();
  options.grace = absl::Seconds(1);
  options.control_path = absl::StrCat(sockets_, "/%C");
  return options;
}

}  // namespace asyncproc
