#ifndef ASYNCPROC_OUTPUT_BOUND_H_
#define ASYNCPROC_OUTPUT_BOUND_H_

#include <cstddef>
#include <limits>

namespace asyncproc {

// How much of a child's output is kept for its readers, and what happens to the
// rest. It counts the bytes that some reader has yet to take: the stream
// itself, or its slowest cursor or tap.
//
// A value. What a bound drops is counted in OutputStats::dropped.
class OutputBound {
 public:
  enum class Policy { kUnbounded, kBlockChild, kDropOldest, kHeadAndTail };

  // Keeps everything: the child does not wait for the caller, and memory is the
  // limit. Only while a caller takes bytes and has more than 2 MiB yet to take,
  // the library waits for that caller, for at most 1 ms after each 512 KiB: so
  // the buffer of a caller that is almost as fast as the child does not grow.
  static OutputBound Unbounded() {
    return OutputBound(Policy::kUnbounded, std::numeric_limits<size_t>::max());
  }
  // Stops reading at `bytes`, so that the child waits, as at a full pipe, until
  // somebody reads: nothing is lost, and the child is slowed down on purpose.
  // What is in the pipe when the child ends is read in any case.
  static OutputBound BlockChild(size_t bytes) {
    return OutputBound(Policy::kBlockChild, bytes);
  }
  // Keeps the last `bytes`.
  static OutputBound DropOldest(size_t bytes) {
    return OutputBound(Policy::kDropOldest, bytes);
  }
  // Keeps the first half of `bytes` of the whole output, and of what comes
  // behind them the last half: how it began and how it ended.
  static OutputBound HeadAndTail(size_t bytes) {
    return OutputBound(Policy::kHeadAndTail, bytes);
  }

  Policy policy() const { return policy_; }
  size_t bytes() const { return bytes_; }

 private:
  OutputBound(Policy policy, size_t bytes) : policy_(policy), bytes_(bytes) {}

  Policy policy_;
  size_t bytes_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_OUTPUT_BOUND_H_
