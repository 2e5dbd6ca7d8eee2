#ifndef ASYNCPROC_TESTS_DATABASE_SERVERS_H_
#define ASYNCPROC_TESTS_DATABASE_SERVERS_H_

#include <memory>
#include <string>
#include <vector>

#include "asyncproc/process.h"
#include "asyncproc/repl.h"

namespace asyncproc {

// A private database server, from the constructor to the destructor.
class DatabaseServer {
 public:
  virtual ~DatabaseServer() = default;

  // The arguments that connect its client.
  virtual std::vector<std::string> Arguments() const = 0;
  // Its own client.
  virtual ReplDialect Client() const = 0;
};

// Null, and the reason in `why`, where a server cannot be started. The files of
// PostgreSQL's server are shared: only one can run at a time.
std::unique_ptr<DatabaseServer> StartPostgres(std::string* why);
std::unique_ptr<DatabaseServer> StartRedis(std::string* why);

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_DATABASE_SERVERS_H_
