#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_SLOTS_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_SLOTS_H_

#include <cstddef>
#include <optional>
#include <set>

namespace asyncproc::cli {

// The slots of a pool, numbered from 1: each runs one job at a time. Slot 1 is
// on the first host, slot 2 on the second, and so on, again and again. A host
// that cannot be reached is dropped with its slots.
//
// Thread safety: none.
class Slots {
 public:
  // `hosts`: 0 if all slots are on this machine.
  Slots(int count, size_t hosts);

  bool HasFree() const { return !free_.empty(); }
  // A free slot; with several hosts left, none on the host `avoid`.
  std::optional<int> Find(std::optional<size_t> avoid) const;
  void Take(int slot) { free_.erase(slot); }
  void Release(int slot);

  size_t HostOf(int slot) const;
  // False if the host had been dropped before.
  bool Drop(size_t host);
  const std::set<size_t>& dropped() const { return dropped_; }
  size_t LiveHosts() const { return hosts_ - dropped_.size(); }

 private:
  const size_t hosts_;
  std::set<int> free_;
  std::set<size_t> dropped_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_SLOTS_H_
