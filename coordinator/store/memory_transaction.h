// A transaction of the memory store: writes in place and remembers how to undo.
#pragma once

#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "coordinator/store/memory_tables.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

class UndoableTransaction : public Transaction {
 public:
  // Takes back all that was written.
  virtual void Undo() = 0;
};

// `declared` must outlive it.
std::unique_ptr<UndoableTransaction> BeginInMemory(MemoryTables& tables, const Declared& declared,
                                                   absl::Time now);

}  // namespace imgfleet::store
