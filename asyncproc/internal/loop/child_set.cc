#include "asyncproc/internal/loop/child_set.h"

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace asyncproc::internal {

ChildSet::~ChildSet() {
  // Signals all children first, so that they end in parallel.
  for (const auto& [id, child] : children_) {
    child->reaper().Signal(SIGKILL).IgnoreError();
  }
}

void ChildSet::CloseInForkedCopy() {
  for (const auto& [id, child] : children_) child->CloseInForkedCopy();
}

absl::StatusOr<PolledChild*> ChildSet::Start(
    uint64_t cookie, const Command& command,
    const std::vector<int>& further_pipes, const ChildLimits& limits) {
  absl::StatusOr<std::unique_ptr<PolledChild>> child =
      PolledChild::Start(loop_, *this, cookie, command, further_pipes, limits);
  if (!child.ok()) return child.status();
  PolledChild* const started = child->get();
  children_[started->id()] = *std::move(child);
  return started;
}

std::string ChildSet::StillRunning(size_t queued) const {
  std::string running;
  std::string ended;
  size_t others = queued;
  for (const auto& [id, child] : children_) {
    std::string& name = child->HasEndedPaused() ? ended : running;
    if (!name.empty() && &name == &running) ++others;
    if (name.empty()) name = child->Name();
  }
  if (running.empty()) return absl::StrCat(ended, " has ended, but is paused");
  if (others == 0) return absl::StrCat(running, " still runs");
  return absl::StrCat(running, " and ", others, " more still run");
}

void ChildSet::Remove(PolledChild* child) { children_.erase(child->id()); }

void ChildSet::OnPending(PolledChild& child) {
  pending_.push_back(child.id());
  loop_.SetPending(true);
}

std::optional<ChildSet::Event> ChildSet::TakeEvent() {
  while (!pending_.empty()) {
    const auto found = children_.find(pending_.front());
    if (found != children_.end()) {
      PolledChild* const child = found->second.get();
      if (std::optional<ChildEvent> event = child->TakeEvent()) {
        return Event{child, *std::move(event)};
      }
    }
    pending_.pop_front();
  }
  return std::nullopt;
}

}  // namespace asyncproc::internal
