#ifndef ASYNCPROC_TESTS_FORKED_HOST_H_
#define ASYNCPROC_TESTS_FORKED_HOST_H_

#include <functional>
#include <string>

namespace asyncproc {

// Runs `body` in a fork of this program, and returns its result: for tests that
// change the state of their own process (close standard streams, lower limits,
// give up privileges), which must not affect other tests.
//
// No expectations in `body`, because their failures are lost: the test compares
// the returned value instead. The fork ends without destructors or leak checks,
// and does not end the processes that `body` leaves running.
//
// REQUIRES: no other thread runs.
std::string InForkedHost(const std::function<std::string()>& body);

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_FORKED_HOST_H_
