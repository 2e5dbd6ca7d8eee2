#ifndef ASYNCPROC_CHILD_STREAM_H_
#define ASYNCPROC_CHILD_STREAM_H_

namespace asyncproc {

// Which of a child's two outputs.
enum class ChildStream { kOut, kErr };

}  // namespace asyncproc

#endif  // ASYNCPROC_CHILD_STREAM_H_
