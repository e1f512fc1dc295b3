// For tests: every store that the contract suites run against.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// A folder that goes with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  explicit TemporaryFolder(std::string pattern);  // As mkdtemp(3) takes it.
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A store for one test, which can be closed and opened again if it is durable.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual bool durable() const = 0;
  // Several stores may be open at the same time.
  virtual bool shared() const { return false; }
  // The store opened before must be gone, unless they are shared.
  virtual std::unique_ptr<Store> Open(const Clock& clock) = 0;
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
};

std::vector<StoreKind> StoreKinds();

}  // namespace imgfleet::store
