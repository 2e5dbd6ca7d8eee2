#ifndef ASYNCPROC_INTERNAL_TEXT_RESOURCE_NAME_H_
#define ASYNCPROC_INTERNAL_TEXT_RESOURCE_NAME_H_

#include <string>

namespace asyncproc::internal {

// The name of a resource of setrlimit, for messages: "RLIMIT_NOFILE".
std::string ResourceName(int resource);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_RESOURCE_NAME_H_
