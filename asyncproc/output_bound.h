#ifndef ASYNCPROC_OUTPUT_BOUND_H_
#define ASYNCPROC_OUTPUT_BOUND_H_

#include <cstddef>
#include <limits>

namespace asyncproc {

// The limit on the output of a child that is kept for its readers, and the
// treatment of further output. The limit counts the bytes that some reader has
// not taken yet: the stream itself, or its slowest cursor or tap.
//
// A value. OutputStats::dropped counts the dropped bytes.
class OutputBound {
 public:
  enum class Policy { kUnbounded, kBlockChild, kDropOldest, kHeadAndTail };

  // Keeps everything: the child does not wait for the caller, and memory is the
  // limit. Only while a caller takes bytes and more than 1 MiB remains for it,
  // the library waits for that caller, for at most 1 ms after each 512 KiB: so
  // the buffer does not grow when the caller is almost as fast as the child.
  static OutputBound Unbounded() {
    return OutputBound(Policy::kUnbounded, std::numeric_limits<size_t>::max());
  }
  // Stops reading at `bytes`, so that the child waits, as at a full pipe, until
  // a caller reads: nothing is lost, and the child is slowed down on purpose.
  // When the child ends, the bytes in its pipe are read even beyond `bytes`.
  static OutputBound BlockChild(size_t bytes) {
    return OutputBound(Policy::kBlockChild, bytes);
  }
  // Keeps the last `bytes`. The buffer needs up to twice as much memory: the
  // kept bytes are contiguous, and are moved to its front only when it is full.
  // The bytes that a ReadInPlace shows are not counted.
  static OutputBound DropOldest(size_t bytes) {
    return OutputBound(Policy::kDropOldest, bytes);
  }
  // Keeps the beginning and the end of the whole output: its first
  // `bytes` / 2 bytes, and the last of the bytes after them, `bytes` in all.
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
