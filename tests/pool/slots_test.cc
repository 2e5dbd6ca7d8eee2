#include "tools/asyncproc/pool/slots.h"

#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace asyncproc::cli {
namespace {

using ::testing::Eq;
using ::testing::Optional;

TEST(SlotsTest, GiveTheLowestFreeSlot) {
  Slots slots(2, 0);
  EXPECT_THAT(slots.Find(std::nullopt), Optional(1));

  slots.Take(1);
  EXPECT_THAT(slots.Find(std::nullopt), Optional(2));
  slots.Take(2);
  EXPECT_FALSE(slots.HasFree());
  EXPECT_THAT(slots.Find(std::nullopt), Eq(std::nullopt));

  slots.Release(1);
  EXPECT_THAT(slots.Find(std::nullopt), Optional(1));
}

TEST(SlotsTest, AvoidAHostWhileThereIsAnother) {
  Slots slots(4, 2);  // On the hosts 0, 1, 0, 1.
  EXPECT_THAT(slots.Find(0), Optional(2));
  slots.Take(2);
  slots.Take(4);
  EXPECT_THAT(slots.Find(0), Eq(std::nullopt));
  EXPECT_THAT(slots.Find(1), Optional(1));
}

TEST(SlotsTest, DropAHostWithItsSlots) {
  Slots slots(4, 2);
  slots.Take(1);

  EXPECT_TRUE(slots.Drop(0));
  EXPECT_FALSE(slots.Drop(0));

  EXPECT_EQ(slots.LiveHosts(), 1u);
  EXPECT_THAT(slots.Find(std::nullopt), Optional(2));
  slots.Release(1);
  EXPECT_THAT(slots.Find(1), Optional(2));  // There is no other host.
}

}  // namespace
}  // namespace asyncproc::cli
