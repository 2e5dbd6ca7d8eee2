#ifndef ASYNCPROC_TESTS_FORKED_HOST_H_
#define ASYNCPROC_TESTS_FORKED_HOST_H_

#include <functional>
#include <string>

namespace asyncproc {

// Runs `body` in a fork of this program, and returns what it returned: for
// tests that change the state of their own process (close standard streams,
// lower limits, give up privileges), which other tests are not to see.
//
// No expectations in `body`: nobody would hear of them. It returns what it saw,
// for the test to compare. The fork ends without destructors or leak checks,
// and what it leaves running is left behind.
//
// REQUIRES: no other thread runs.
std::string InForkedHost(const std::function<std::string()>& body);

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_FORKED_HOST_H_
