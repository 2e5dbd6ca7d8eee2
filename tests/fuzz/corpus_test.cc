// Runs the function of a fuzzer on every file of a folder.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace asyncproc {
namespace {

TEST(CorpusTest, FailsWithNone) {
  const char* const corpus = std::getenv("CORPUS");
  ASSERT_NE(corpus, nullptr);

  int tried = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    // A failure ends the program, so this line names the failing file.
    std::cerr << entry.path() << std::endl;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()),
                           bytes.size());
    ++tried;
  }

  EXPECT_GT(tried, 0);
}

}  // namespace
}  // namespace asyncproc
