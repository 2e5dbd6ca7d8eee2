#ifndef ASYNCPROC_PTY_H_
#define ASYNCPROC_PTY_H_

namespace asyncproc {

// What a child's terminal is like when it starts; see Command::pty, and
// Terminal for what can be done with it then. A value.
struct Pty {
  int rows = 24;
  int columns = 80;
  // Whether the terminal shows what is written to it, as it does to a person
  // who types: then it comes back among the output.
  bool echo = true;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_PTY_H_
