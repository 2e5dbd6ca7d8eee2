#include "asyncproc/cancellation.h"

#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

CancellationToken::CancellationToken()
    : cancellation_(std::make_shared<internal::Cancellation>()) {}

void CancellationToken::Cancel() const { cancellation_->Cancel(); }

bool CancellationToken::IsCanceled() const { return cancellation_->canceled(); }

CancellationScope::CancellationScope(const CancellationToken& token)
    : scope_(std::make_unique<internal::WaitScope>(token.cancellation_)) {}

CancellationScope::~CancellationScope() = default;

}  // namespace asyncproc
