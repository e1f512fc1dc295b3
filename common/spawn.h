// Starts a program as a child that gets nothing of this process but what it is handed: what runs under a sandbox begins so.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace imgfleet {

struct Spawning {
  std::string program;                   // A path; no search.
  std::vector<std::string> arguments;    // Without the program's name.
  std::vector<std::string> environment;  // NAME=VALUE, all of it.
  int input;                             // Its standard input,
  int output;                            // and output. Its standard error is ours.
};

// All signals as they are by default, no other descriptor, and a process group of its own, so that a Ctrl-C meant for this
// process is this one's. 0 and the child's id, which is to be waited for; else an errno. Thread-safe.
int Spawn(Spawning child, pid_t* pid);

}  // namespace imgfleet
