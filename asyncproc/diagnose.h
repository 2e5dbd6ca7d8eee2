#ifndef ASYNCPROC_DIAGNOSE_H_
#define ASYNCPROC_DIAGNOSE_H_

#include "asyncproc/diagnosis.h"
#include "asyncproc/process.h"

namespace asyncproc {

// Why does it hang? What /proc says of the child at this moment, put into
// words: that it waits for input, that it is blocked because nobody reads its
// output, that it is stopped, or waits for a child of its own, and so on.
//
//   if (absl::IsDeadlineExceeded(status)) {
//     LOG(ERROR) << asyncproc::Diagnose(*process);
//     // "bc (pid 4711): it waits for input on its stdin"
//   }
//
// The errors of Process for time that ran out have it in their message. It is
// for people: a program should not decide by it, since it may be over the next
// moment. Of a process of another user, or one that hides itself, it sees
// little.
//
// Thread safety: as Process. Blocking: it reads a few files in /proc, which
// takes about a millisecond; nothing it does disturbs the child.
Diagnosis Diagnose(Process& process);

}  // namespace asyncproc

#endif  // ASYNCPROC_DIAGNOSE_H_
