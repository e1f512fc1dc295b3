// PNG (W3C PNG, chunks), GIF (GIF89a appendix A), WebP (RIFF), BMP, ICO and CUR, ICNS.
#include <algorithm>
#include <cstdlib>

#include "worker/image/walkers.h"

namespace imgfleet::image {
namespace {

class PngWalker final : public PartWalker {
 public:
  PngWalker() : PartWalker(SkipThenRead(8, 8)) {}

 private:
  Step OnPart(absl::string_view chunk) override {
    const uint64_t rest = uint64_t{PartBe32(chunk, 0)} + 4;  // With its checksum.
    if (rest > 0x80000003) return Broken();
    return chunk.substr(4) == "IEND" ? EndAfter(rest) : SkipThenRead(rest, 8);
  }
};

class GifWalker final : public PartWalker {
 public:
  GifWalker() : PartWalker(Read(13)) {}

 private:
  enum class Next : uint8_t { kScreen, kBlock, kImage, kSubBlock };

  static uint64_t TableBytes(uint8_t flags) { return flags & 0x80 ? 6u << (flags & 7) : 0; }
  Step Go(Next next, uint64_t skip, uint64_t read) {
    next_ = next;
    return SkipThenRead(skip, read);
  }

  Step OnPart(absl::string_view part) override {
    const auto byte = static_cast<uint8_t>(part[0]);
    switch (next_) {
      case Next::kScreen:
        return Go(Next::kBlock, TableBytes(static_cast<uint8_t>(part[10])), 1);
      case Next::kBlock:
        if (byte == 0x3b) return EndAfter(0);
        if (byte == 0x2c) return Go(Next::kImage, 0, 9);
        if (byte == 0x21) return Go(Next::kSubBlock, 1, 1);  // Its label.
        return Read(1);                                      // Readers pass over what stands between blocks.
      case Next::kImage:
        return Go(Next::kSubBlock, TableBytes(static_cast<uint8_t>(part[8])) + 1, 1);
      case Next::kSubBlock:
        return byte == 0 ? Go(Next::kBlock, 0, 1) : SkipThenRead(byte, 1);
    }
    return Broken();
  }

  Next next_ = Next::kScreen;
};

class WebpWalker final : public PartWalker {
 public:
  WebpWalker() : PartWalker(Read(12)) {}

 private:
  Step OnPart(absl::string_view header) override { return EndAt(uint64_t{PartLe32(header, 4)} + 8); }
};

class IcnsWalker final : public PartWalker {
 public:
  IcnsWalker() : PartWalker(Read(8)) {}

 private:
  Step OnPart(absl::string_view header) override { return EndAt(PartBe32(header, 4)); }
};

class BmpWalker final : public PartWalker {
 public:
  BmpWalker() : PartWalker(Read(18)) {}

 private:
  Step OnPart(absl::string_view part) override {
    if (pixels_ == 0) {
      pixels_ = PartLe32(part, 10);
      header_bytes_ = PartLe32(part, 14);
      if (pixels_ < 18 || (header_bytes_ != 12 && header_bytes_ < 16)) return Unknown();
      return Read(std::min<uint64_t>(header_bytes_, 40) - 4);
    }
    const bool core = header_bytes_ == 12;  // OS/2 1.x
    const uint64_t width = core ? PartLe16(part, 0) : PartLe32(part, 0);
    const int64_t signed_height = core ? PartLe16(part, 2) : static_cast<int32_t>(PartLe32(part, 4));
    const uint64_t height = static_cast<uint64_t>(std::abs(signed_height));
    const uint64_t bits = PartLe16(part, core ? 6 : 10);
    const uint32_t packing = part.size() >= 16 ? PartLe32(part, 12) : 0;
    // 0 is none, 3 and 6 name the masks of plain pixels.
    if (packing == 0 || ((packing == 3 || packing == 6) && bits >= 16)) {
      return EndAt(pixels_ + Product((width * bits + 31) / 32 * 4, height));
    }
    const uint64_t stated = part.size() >= 20 ? PartLe32(part, 16) : 0;
    return stated == 0 ? Unknown() : EndAt(pixels_ + stated);
  }

  uint64_t pixels_ = 0;
  uint64_t header_bytes_ = 0;
};

class IcoWalker final : public PartWalker {
 public:
  IcoWalker() : PartWalker(Read(6)) {}

 private:
  static constexpr uint64_t kEntry = 16;

  Step OnPart(absl::string_view part) override {
    if (!counted_) {
      counted_ = true;
      const uint64_t entries = PartLe16(part, 4);
      return entries == 0 ? Unknown() : Read(entries * kEntry);
    }
    uint64_t end = 0;
    for (size_t at = 0; at < part.size(); at += kEntry) {
      end = std::max(end, uint64_t{PartLe32(part, at + 8)} + PartLe32(part, at + 12));
    }
    return EndAt(end);
  }

  bool counted_ = false;
};

}  // namespace

std::unique_ptr<Walker> WalkPng() { return std::make_unique<PngWalker>(); }
std::unique_ptr<Walker> WalkGif() { return std::make_unique<GifWalker>(); }
std::unique_ptr<Walker> WalkWebp() { return std::make_unique<WebpWalker>(); }
std::unique_ptr<Walker> WalkIcns() { return std::make_unique<IcnsWalker>(); }
std::unique_ptr<Walker> WalkBmp() { return std::make_unique<BmpWalker>(); }
std::unique_ptr<Walker> WalkIco() { return std::make_unique<IcoWalker>(); }

}  // namespace imgfleet::image
