// Readers of a file's structure for Completeness: each walks one format from its first byte to the end it announces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace imgfleet::image {

class Walker {
 public:
  virtual ~Walker() = default;
  virtual void Add(absl::string_view bytes) = 0;
  virtual std::optional<bool> Finish() const = 0;
};

// A walk over parts that are looked at and stretches between them that are passed over.
class PartWalker : public Walker {
 public:
  void Add(absl::string_view bytes) override;
  std::optional<bool> Finish() const override;

 protected:
  // What follows: `skip` bytes are passed over, then `read` of them are given to OnPart; `read` 0 is the end of the walk.
  struct Step {
    uint64_t skip = 0;
    uint64_t read = 0;
    enum Kind : uint8_t { kOn, kUnknown, kBroken } kind = kOn;
  };
  static Step Read(uint64_t bytes) { return {0, bytes}; }
  static Step SkipThenRead(uint64_t skip, uint64_t bytes) { return {skip, bytes}; }
  // The announced end lies `skip` bytes ahead.
  static Step EndAfter(uint64_t skip) { return {skip, 0}; }
  // The announced end is at the file's byte `offset`, be it one that was passed already.
  Step EndAt(uint64_t offset) const { return EndAfter(offset > position_ ? offset - position_ : 0); }
  // There is no announced end.
  static Step Unknown() { return {0, 0, Step::kUnknown}; }
  static Step Broken() { return {0, 0, Step::kBroken}; }

  explicit PartWalker(Step first) : step_(first) {}

  // Called with exactly the bytes that were asked for.
  virtual Step OnPart(absl::string_view part) = 0;
  // The file's bytes before those not looked at or passed over yet.
  uint64_t position() const { return position_; }
  // The file ended in the middle of a walk that needs no more: at the beginning of a part that may be missing.
  bool at_part() const { return step_.kind == Step::kOn && step_.skip == 0 && part_.empty(); }

 private:
  Step step_;
  std::string part_;
  uint64_t position_ = 0;
};

// Integers of a part; the caller has them all at hand.
uint16_t PartBe16(absl::string_view part, size_t offset);
uint32_t PartBe32(absl::string_view part, size_t offset);
uint64_t PartBe64(absl::string_view part, size_t offset);
uint16_t PartLe16(absl::string_view part, size_t offset);
uint32_t PartLe32(absl::string_view part, size_t offset);
uint64_t PartLe64(absl::string_view part, size_t offset);

// a * b, or 2^62 where that is more: beyond any file.
uint64_t Product(uint64_t a, uint64_t b);

std::unique_ptr<Walker> WalkJpeg();
std::unique_ptr<Walker> WalkPng();
std::unique_ptr<Walker> WalkGif();
std::unique_ptr<Walker> WalkWebp();
std::unique_ptr<Walker> WalkIcns();
std::unique_ptr<Walker> WalkBmp();
std::unique_ptr<Walker> WalkIco();
std::unique_ptr<Walker> WalkTiff();
std::unique_ptr<Walker> WalkHeif();
std::unique_ptr<Walker> WalkJxl();
std::unique_ptr<Walker> WalkJp2();
std::unique_ptr<Walker> WalkJ2k();
std::unique_ptr<Walker> WalkPsd();
std::unique_ptr<Walker> WalkQoi();
std::unique_ptr<Walker> WalkPnm();
std::unique_ptr<Walker> WalkTga();
std::unique_ptr<Walker> WalkPcx();

}  // namespace imgfleet::image
