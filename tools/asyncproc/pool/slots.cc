#include "tools/asyncproc/pool/slots.h"

namespace asyncproc::cli {

Slots::Slots(int count, size_t hosts) : hosts_(hosts) {
  for (int slot = 1; slot <= count; ++slot) free_.insert(slot);
}

std::optional<int> Slots::Find(std::optional<size_t> avoid) const {
  for (int slot : free_) {
    if (LiveHosts() < 2 || HostOf(slot) != avoid) return slot;
  }
  return std::nullopt;
}

void Slots::Release(int slot) {
  if (dropped_.count(HostOf(slot)) == 0) free_.insert(slot);
}

size_t Slots::HostOf(int slot) const {
  return hosts_ == 0 ? 0 : static_cast<size_t>(slot - 1) % hosts_;
}

bool Slots::Drop(size_t host) {
  if (!dropped_.insert(host).second) return false;
  for (auto slot = free_.begin(); slot != free_.end();) {
    slot = HostOf(*slot) == host ? free_.erase(slot) : std::next(slot);
  }
  return true;
}

}  // namespace asyncproc::cli
