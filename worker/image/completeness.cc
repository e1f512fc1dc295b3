#include "worker/image/completeness.h"

#include <algorithm>
#include <utility>

#include "worker/image/walkers.h"

namespace imgfleet::image {
namespace {

std::unique_ptr<Walker> WalkerOf(Format format) {
  switch (format) {
    case Format::kJpeg:
      return WalkJpeg();
    case Format::kPng:
      return WalkPng();
    case Format::kGif:
      return WalkGif();
    case Format::kWebp:
      return WalkWebp();
    case Format::kBmp:
      return WalkBmp();
    case Format::kIco:
    case Format::kCur:
      return WalkIco();
    case Format::kAvif:
    case Format::kHeic:
      return WalkHeif();
    case Format::kTiff:
      return WalkTiff();
    case Format::kJxl:
      return WalkJxl();
    case Format::kJp2:
      return WalkJp2();
    case Format::kJ2k:
      return WalkJ2k();
    case Format::kPsd:
      return WalkPsd();
    case Format::kQoi:
      return WalkQoi();
    case Format::kIcns:
      return WalkIcns();
    case Format::kTga:
      return WalkTga();
    case Format::kPnm:
      return WalkPnm();
    case Format::kPcx:
      return WalkPcx();
    case Format::kSvg:
    case Format::kDds:
    case Format::kHdr:
    case Format::kUnknown:
      break;
  }
  return nullptr;
}

// A part is looked at as a whole: more than any header or table of a sound file has.
constexpr uint64_t kMaxPart = 256 << 10;

uint64_t Big(absl::string_view part, size_t offset, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<uint8_t>(part[offset + i]);
  return value;
}

uint64_t Little(absl::string_view part, size_t offset, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(part[offset + i]);
  return value;
}

}  // namespace

Completeness::Completeness(Format format) : walker_(WalkerOf(format)) {}
Completeness::Completeness(Completeness&&) noexcept = default;
Completeness& Completeness::operator=(Completeness&&) noexcept = default;
Completeness::~Completeness() = default;

void Completeness::Add(absl::string_view bytes) {
  if (walker_ != nullptr) walker_->Add(bytes);
}

std::optional<bool> Completeness::Finish() const {
  return walker_ == nullptr ? std::nullopt : walker_->Finish();
}

void PartWalker::Add(absl::string_view bytes) {
  while (!bytes.empty() && step_.kind == Step::kOn) {
    uint64_t taken;
    if (step_.skip > 0) {
      taken = std::min<uint64_t>(step_.skip, bytes.size());
      step_.skip -= taken;
      position_ += taken;
    } else if (step_.read == 0) {
      position_ += bytes.size();  // Behind the end.
      return;
    } else if (part_.empty() && bytes.size() >= step_.read) {
      taken = step_.read;
      position_ += taken;
      step_ = OnPart(bytes.substr(0, taken));
    } else {
      taken = std::min<uint64_t>(step_.read - part_.size(), bytes.size());
      part_.append(bytes.data(), taken);
      position_ += taken;
      if (part_.size() == step_.read) step_ = OnPart(std::exchange(part_, std::string()));
    }
    if (step_.read > kMaxPart) step_ = Unknown();
    bytes.remove_prefix(taken);
  }
}

std::optional<bool> PartWalker::Finish() const {
  if (step_.kind == Step::kUnknown) return std::nullopt;
  return step_.kind == Step::kOn && step_.skip == 0 && step_.read == 0;
}

uint64_t Product(uint64_t a, uint64_t b) {
  constexpr uint64_t kMost = uint64_t{1} << 62;
  uint64_t product;
  return __builtin_mul_overflow(a, b, &product) ? kMost : std::min(product, kMost);
}

uint16_t PartBe16(absl::string_view part, size_t offset) {
  return static_cast<uint16_t>(Big(part, offset, 2));
}
uint32_t PartBe32(absl::string_view part, size_t offset) {
  return static_cast<uint32_t>(Big(part, offset, 4));
}
uint64_t PartBe64(absl::string_view part, size_t offset) { return Big(part, offset, 8); }
uint16_t PartLe16(absl::string_view part, size_t offset) {
  return static_cast<uint16_t>(Little(part, offset, 2));
}
uint32_t PartLe32(absl::string_view part, size_t offset) {
  return static_cast<uint32_t>(Little(part, offset, 4));
}
uint64_t PartLe64(absl::string_view part, size_t offset) { return Little(part, offset, 8); }

}  // namespace imgfleet::image
