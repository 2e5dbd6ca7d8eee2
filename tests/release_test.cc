// The archive that tools/release makes, and its entry for a registry.

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A repository with the files that a release is made from, and some other
// files.
class ReleaseTest : public testing::Test {
 protected:
  ReleaseTest() {
    Script(
        "cp -RL .bcr MODULE.bazel \"$1\" && mkdir \"$1/tools\" && cp -L "
        "tools/release \"$1/tools\"");
    Script(
        "cd \"$1\" && echo committed >file && git init -q && git add . &&"
        " git -c user.name=name -c user.email=name@host commit -q -m first &&"
        " echo changed >file && echo new >untracked");
  }

  // Returns the output of the script; its $1 is the folder of the repository.
  std::string Script(absl::string_view script) {
    return OutputOf(Command(
        {"sh", "-c", absl::StrCat("set -e; ", script), "sh", folder_.path()}));
  }

  // The text of a file in "made", which was made from the repository.
  std::string Made(absl::string_view name) {
    return folder_.Read(absl::StrCat("made/", name));
  }

  TemporaryDirectory folder_;
};

TEST_F(ReleaseTest, HasTheCommittedFilesAndNoOthers) {
  Script("\"$1/tools/release\" \"$1/made\"");

  const std::string archive = "\"$1\"/made/asyncproc-*.tar.gz";
  std::vector<std::string> names = absl::StrSplit(
      Script(absl::StrCat("tar -tzf ", archive)), '\n', absl::SkipEmpty());
  EXPECT_THAT(names, testing::Contains(testing::EndsWith("/tools/release")));
  EXPECT_THAT(names, Each(testing::Not(HasSubstr("untracked"))));
  EXPECT_EQ(
      Script(absl::StrCat("tar -xzOf ", archive, " --wildcards '*/file'")),
      "committed\n");
}

TEST_F(ReleaseTest, IsReproducible) {
  Script("\"$1/tools/release\" \"$1/made\"");
  Script(
      "umask 077; git clone -q \"$1\" \"$1/clone\"; git -C \"$1/clone\" config "
      "tar.umask 077;"
      " \"$1/clone/tools/release\" \"$1/other\"");

  Script("cmp \"$1\"/made/*.tar.gz \"$1\"/other/*.tar.gz");
}

TEST_F(ReleaseTest, TheEntryForARegistryNamesTheArchive) {
  const std::string printed =
      Script("\"$1/tools/release\" --repository someone/library \"$1/made\"");

  const auto metadata =
      nlohmann::json::parse(Made("modules/asyncproc/metadata.json"));
  EXPECT_EQ(metadata["repository"][0], "github:someone/library");
  const std::string version = metadata["versions"][0];
  const std::string entry = absl::StrCat("modules/asyncproc/", version, "/");
  EXPECT_EQ(Made(absl::StrCat(entry, "MODULE.bazel")),
            folder_.Read("MODULE.bazel"));
  EXPECT_EQ(Made(absl::StrCat(entry, "presubmit.yml")),
            folder_.Read(".bcr/presubmit.yml"));

  const auto source =
      nlohmann::json::parse(Made(absl::StrCat(entry, "source.json")));
  const std::string name = absl::StrCat("asyncproc-", version);
  EXPECT_EQ(source["strip_prefix"], name);
  EXPECT_EQ(
      source["url"],
      absl::StrCat("https://github.com/someone/library/releases/download/v",
                   version, "/", name, ".tar.gz"));
  std::vector<std::string> names = absl::StrSplit(
      Script("tar -tzf \"$1\"/made/*.tar.gz"), '\n', absl::SkipEmpty());
  EXPECT_THAT(names, Each(StartsWith(absl::StrCat(name, "/"))));

  const std::string digest =
      Script("sha256sum \"$1\"/made/*.tar.gz").substr(0, 64);
  const std::string integrity = source["integrity"];
  std::string bytes;
  ASSERT_TRUE(absl::StartsWith(integrity, "sha256-"));
  ASSERT_TRUE(absl::Base64Unescape(integrity.substr(7), &bytes));
  EXPECT_EQ(absl::BytesToHexString(bytes), digest);
  EXPECT_THAT(printed, HasSubstr(absl::StrCat("sha256 = \"", digest, "\"")));
}

}  // namespace
}  // namespace asyncproc
