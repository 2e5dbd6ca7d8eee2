#ifndef ASYNCPROC_TESTS_FUZZ_INPUT_H_
#define ASYNCPROC_TESTS_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace asyncproc {

// The data of a fuzzer, taken from its front. An empty input still returns zero
// bytes, and no characters.
//
// Thread safety: none.
class Input {
 public:
  Input(const uint8_t* data, size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const char byte = rest_.front();
    rest_.remove_prefix(1);
    return static_cast<uint8_t>(byte);
  }

  // At most `size` characters: fewer if the input is shorter.
  absl::string_view Characters(size_t size) {
    const absl::string_view characters = rest_.substr(0, size);
    rest_.remove_prefix(characters.size());
    return characters;
  }

 private:
  absl::string_view rest_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_FUZZ_INPUT_H_
