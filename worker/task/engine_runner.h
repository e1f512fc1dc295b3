// The runner that ships: items go to the fetch engine, each as the task that its job's kind asks for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "decoder/client.h"
#include "worker/fetch/engine.h"
#include "worker/task/task.h"

namespace imgfleet::task {

// Thread-safe. Destroying it breaks off what is left: every `done` has been called when the destructor returns.
class EngineRunner final : public Runner {
 public:
  // Fails where the options name a CA file that cannot be used. Where `decoders` leaves the number of processes out, it is
  // that of decoders.h.
  static absl::StatusOr<std::unique_ptr<EngineRunner>> Create(fetch::Options options,
                                                              decoder::Client::Options decoders = {});

  void Start(std::vector<Item> items) override;
  void DropAbandoned() override;
  uint32_t capacity() const override;
  uint32_t concurrency() const override;
  bool WaitsForOrigins(uint64_t held) const override;
  void HearOrigins(std::function<void()> wake) override;
  v1::OriginReport ReportOrigins(bool all, absl::Time now) override;
  void KeepPermits(const v1::OriginPermits& permits, absl::Time reported, absl::Time now) override;
  void LosePermits(absl::Time now) override;
  // Why images cannot be decoded here, where that is known.
  absl::Status decoding() const;

 private:
  EngineRunner(std::unique_ptr<decoder::Client> decoders, std::unique_ptr<fetch::Engine> engine)
      : decoders_(std::move(decoders)), engine_(std::move(engine)) {}

  // The engine ends first: what it has finished may still be decoded.
  const std::unique_ptr<decoder::Client> decoders_;
  const std::unique_ptr<fetch::Engine> engine_;
};

}  // namespace imgfleet::task
