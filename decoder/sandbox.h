// Locks the process in, so that whoever takes it over through a hostile image has nothing to reach: no network, no
// files, no other process, a bounded amount of memory and CPU, and one descriptor to answer on. No privilege is
// needed, and it holds alike as root, as an ordinary user and inside a container.
//
// What is denied, by what (most of it twice):
//   seccomp    every system call but those of memory, the clock, its own end, and read and write on the channel. What a
//              library may try in good faith (opening a configuration file, starting a thread, asking for the machine's
//              cores, printing a warning) fails with an errno; anything else kills the process with SIGSYS. Memory is
//              never executable.
//   Landlock   every access to files that this kernel knows; from ABI 4 on TCP; from 6 on signals and abstract sockets
//              of processes outside.
//   rlimits    address space (AS), CPU time, no new descriptors, no file, core, process, locked memory or queue.
//   credentials no_new_privs, no capability, not dumpable (nobody of the same user may trace it).
//   the rest   all descriptors but the channel are closed; it dies with the thread that started it.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace imgfleet::decoder {

struct SandboxLimits {
  // Address space on top of what is mapped when the process is locked in.
  uint64_t memory_bytes = 512u << 20;
  // In the process's whole life; then SIGXCPU.
  uint32_t cpu_seconds = 20;
};

// The descriptor that stays, to be read and written: the standard input.
inline constexpr int kChannel = 0;

// To be called once, with all libraries initialised and no thread besides the caller's: Landlock holds a thread and
// those it starts. FAILED_PRECONDITION, and the message says what is missing, where any part of it cannot be had; then
// some of it may hold already, and the process is to end.
absl::Status LockIn(const SandboxLimits& limits);

// All of it but the filter of system calls, so that LockIn's test can look at what stands behind that.
absl::Status LockInWithoutFilter(const SandboxLimits& limits);

}  // namespace imgfleet::decoder
