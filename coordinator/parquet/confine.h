// Locks the process in before it reads a stranger's file: whoever takes it over through one has no file, no network, no
// other process, and a bounded amount of memory and CPU time. No privilege is needed.
//
//   seccomp      reads of the list (kListFd), writes to kRowsFd and the standard error, memory (never executable), the
//                clock and the process's own end are allowed; any other system call fails with EPERM
//   rlimits      address space, CPU time, no core, no new descriptor or process
//   the rest     all other descriptors are closed, no new privileges, not dumpable, killed with its parent's thread, and
//                the first that the kernel kills where memory is short
#pragma once

#include <cstdint>
#include <string>

namespace imgfleet::parquet_list {

inline constexpr int kListFd = 0;
inline constexpr int kRowsFd = 1;

// Once; holds every thread. `memory_bytes`: on top of what is mapped now. Returns what could not be had; empty where all was.
std::string Confine(uint64_t memory_bytes, uint64_t cpu_seconds);

}  // namespace imgfleet::parquet_list
