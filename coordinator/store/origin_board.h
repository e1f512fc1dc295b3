// Where the coordinators of one store write who uses which origin: the rows of core/origin_homes.h, read and written in
// exchanges that all make one after another.
//
// Apart from Store, since it has nothing to do with jobs: a connection of its own, whose transactions wait for each other and
// for nobody else. Only stores that several coordinators can share have one.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/core/origin_homes.h"

namespace imgfleet::store {

// For one thread at a time, but Interrupt().
class OriginBoard {
 public:
  using Decide = absl::FunctionRef<core::OriginWrites(const core::OriginNews& news)>;

  virtual ~OriginBoard() = default;

  // In one transaction: reads what `query` asks for, writes what `decide` makes of it, and tells the others where it
  // says so. `decide` is called once at most, within the transaction. OK: it is committed, though a crash of the server
  // or a failover may lose it as it may lose any commit. Any error: it may or may not be.
  virtual absl::Status Exchange(const core::OriginQuery& query, Decide decide) = 0;

  // Returns true when another coordinator has told something, false after `limit` or Interrupt(). May return for nothing.
  virtual bool Wait(absl::Duration limit) = 0;
  // Ends the Wait() that is under way, or else the next. Thread-safe.
  virtual void Interrupt() = 0;
};

}  // namespace imgfleet::store
