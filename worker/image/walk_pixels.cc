// Formats whose end is that of their pixels: PSD and PSB (Adobe's specification), QOI (qoiformat.org), PNM, PAM and PFM
// (netpbm), TGA (Truevision 2.0), PCX (ZSoft).
#include <algorithm>
#include <utility>

#include "worker/image/pnm.h"
#include "worker/image/text_header.h"
#include "worker/image/walkers.h"

namespace imgfleet::image {
namespace {

class PsdWalker final : public PartWalker {
 public:
  PsdWalker() : PartWalker(Read(26)) {}

 private:
  enum class Next : uint8_t { kHeader, kColors, kResources, kLayers, kPacking, kRowLengths };
  static constexpr uint64_t kRowsAtOnce = 16 << 10;

  Step Go(Next next, uint64_t skip, uint64_t read) {
    next_ = next;
    return SkipThenRead(skip, read);
  }

  Step OnPart(absl::string_view part) override {
    switch (next_) {
      case Next::kHeader: {
        large_ = PartBe16(part, 4) == 2;
        const uint64_t width = PartBe32(part, 18), depth = PartBe16(part, 22);
        rows_ = uint64_t{PartBe16(part, 12)} * PartBe32(part, 14);
        row_bytes_ = (width * depth + 7) / 8;
        return Go(Next::kColors, 0, 4);
      }
      case Next::kColors:
        return Go(Next::kResources, PartBe32(part, 0), 4);
      case Next::kResources:
        return Go(Next::kLayers, PartBe32(part, 0), large_ ? 8 : 4);
      case Next::kLayers: {
        const uint64_t bytes = large_ ? PartBe64(part, 0) : PartBe32(part, 0);
        return bytes > uint64_t{1} << 62 ? Broken() : Go(Next::kPacking, bytes, 2);
      }
      case Next::kPacking:
        if (PartBe16(part, 0) == 0) return EndAfter(Product(rows_, row_bytes_));
        return PartBe16(part, 0) == 1 ? ReadLengths() : Unknown();
      case Next::kRowLengths:
        for (size_t at = 0; at < part.size(); at += length_bytes()) {
          packed_ += large_ ? PartBe32(part, at) : PartBe16(part, at);
        }
        return ReadLengths();
    }
    return Broken();
  }

  uint64_t length_bytes() const { return large_ ? 4 : 2; }
  Step ReadLengths() {
    const uint64_t now = std::min(rows_, kRowsAtOnce);
    if (now == 0) return EndAfter(packed_);
    rows_ -= now;
    return Go(Next::kRowLengths, 0, now * length_bytes());
  }

  Next next_ = Next::kHeader;
  bool large_ = false;  // PSB.
  uint64_t rows_ = 0, row_bytes_ = 0, packed_ = 0;
};

class TgaWalker final : public PartWalker {
 public:
  TgaWalker() : PartWalker(Read(18)) {}

 private:
  static uint64_t Bytes(uint64_t bits) { return (bits + 7) / 8; }

  Step OnPart(absl::string_view part) override {
    const auto byte = [part](size_t at) { return static_cast<uint8_t>(part[at]); };
    if (pixel_bytes_ > 0) {
      const uint64_t run = (byte(0) & 0x7fu) + 1;
      pixels_ -= std::min(pixels_, run);
      return NextRun(byte(0) & 0x80 ? pixel_bytes_ : run * pixel_bytes_);
    }
    const uint64_t before = byte(0) + (byte(1) == 1 ? PartLe16(part, 5) * Bytes(byte(7)) : 0);
    pixels_ = uint64_t{PartLe16(part, 12)} * PartLe16(part, 14);
    pixel_bytes_ = Bytes(byte(16));
    switch (byte(2)) {
      case 1:
      case 2:
      case 3:
        return EndAfter(before + pixels_ * pixel_bytes_);
      case 9:
      case 10:
      case 11:
        return pixel_bytes_ == 0 ? Unknown() : NextRun(before);
      default:
        return Unknown();
    }
  }
  Step NextRun(uint64_t skip) { return pixels_ == 0 ? EndAfter(skip) : SkipThenRead(skip, 1); }

  uint64_t pixels_ = 0, pixel_bytes_ = 0;
};

class QoiWalker final : public Walker {
 public:
  void Add(absl::string_view bytes) override {
    for (size_t i = 0; i < bytes.size() && left_ > 0; ++i) {
      const auto byte = static_cast<uint8_t>(bytes[i]);
      if (position_ < kHeader) {
        if (position_ >= 4 && position_ < 8) width_ = width_ << 8 | byte;
        if (position_ >= 8 && position_ < 12) height_ = height_ << 8 | byte;
        if (++position_ == kHeader) pixels_ = width_ * height_;
        if (pixels_ == 0 && position_ == kHeader) left_ = 0;  // No such image.
      } else if (skip_ > 0) {
        --skip_;
      } else if (pixels_ > 0) {
        Take(byte);
      } else {
        --left_;
      }
    }
  }
  std::optional<bool> Finish() const override { return left_ == 0; }

 private:
  static constexpr uint32_t kHeader = 14;

  void Take(uint8_t byte) {
    uint64_t pixels = 1;
    if (byte == 0xff) {
      skip_ = 4;
    } else if (byte == 0xfe) {
      skip_ = 3;
    } else if (byte >= 0xc0) {
      pixels = (byte & 0x3f) + 1;
    } else if (byte >= 0x80) {
      skip_ = 1;
    }
    pixels_ -= std::min(pixels_, pixels);
  }

  uint32_t position_ = 0, skip_ = 0;
  uint64_t width_ = 0, height_ = 0, pixels_ = 0;
  uint32_t left_ = 8;  // Bytes that mark the end.
};

class PcxWalker final : public PartWalker {
 public:
  PcxWalker() : PartWalker(Read(128)) {}

 private:
  Step OnPart(absl::string_view part) override {
    const auto byte = [part](size_t at) { return static_cast<uint8_t>(part[at]); };
    if (!begun_) {
      begun_ = true;
      const uint64_t top = PartLe16(part, 6), bottom = PartLe16(part, 10);
      if (bottom < top) return Unknown();
      left_ = uint64_t{PartLe16(part, 66)} * byte(65) * (bottom - top + 1);
      palette_ = byte(1) == 5 && byte(3) == 8 && byte(65) == 1 ? 769 : 0;
      return byte(2) == 0 ? EndAfter(left_ + palette_) : NextRun();
    }
    if (run_ > 0) {
      left_ -= std::min(left_, std::exchange(run_, 0));
    } else if ((byte(0) & 0xc0) == 0xc0) {
      run_ = byte(0) & 0x3f;
      if (run_ > 0) return Read(1);  // What is repeated.
      return SkipThenRead(1, 1);
    } else {
      --left_;
    }
    return NextRun();
  }
  Step NextRun() { return left_ == 0 ? EndAfter(palette_) : Read(1); }

  bool begun_ = false;
  uint64_t left_ = 0, palette_ = 0, run_ = 0;
};

class PnmWalker final : public Walker {
 public:
  void Add(absl::string_view bytes) override {
    position_ += bytes.size();
    if (state_ != State::kHeader) return;
    beginning_.append(bytes.data(), std::min(bytes.size(), TextHeader::kMaxBytes - beginning_.size()));
    Bytes known;
    known.prefix = beginning_;
    Source source(known);
    PnmHeader header;
    const ProbeResult read = ReadPnmHeader(source, &header);
    if (read.status == ProbeStatus::kNeedMore) return;
    std::string().swap(beginning_);
    const bool binary = read.status == ProbeStatus::kOk && !header.text();
    state_ = binary ? State::kPixels : State::kUnknown;
    if (binary) end_ = header.pixels + Product(RowBytes(header), header.height);
  }
  std::optional<bool> Finish() const override {
    if (state_ == State::kUnknown) return std::nullopt;
    return state_ == State::kPixels && position_ >= end_;
  }

 private:
  enum class State : uint8_t { kHeader, kPixels, kUnknown } state_ = State::kHeader;

  static uint64_t RowBytes(const PnmHeader& header) {
    if (header.kind == '4') return (uint64_t{header.width} + 7) / 8;
    const uint64_t sample = header.floats() ? 4 : header.maximum > 255 ? 2 : 1;
    return Product(header.width, header.channels * sample);
  }

  std::string beginning_;
  uint64_t position_ = 0, end_ = 0;
};

}  // namespace

std::unique_ptr<Walker> WalkPsd() { return std::make_unique<PsdWalker>(); }
std::unique_ptr<Walker> WalkQoi() { return std::make_unique<QoiWalker>(); }
std::unique_ptr<Walker> WalkPnm() { return std::make_unique<PnmWalker>(); }
std::unique_ptr<Walker> WalkTga() { return std::make_unique<TgaWalker>(); }
std::unique_ptr<Walker> WalkPcx() { return std::make_unique<PcxWalker>(); }

}  // namespace imgfleet::image
