// Files of boxes (ISO/IEC 14496-12): HEIF and AVIF (23008-12), JPEG XL (18181-2), JPEG 2000 (15444-1 annex I), with the
// bare codestream of the last (annex A).
#include <algorithm>

#include "absl/strings/match.h"
#include "worker/image/walkers.h"

namespace imgfleet::image {
namespace {

bool IsBoxType(absl::string_view type) {
  return std::all_of(type.begin(), type.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

// Walks boxes; what is in them is for the derived class.
class BoxWalker : public PartWalker {
 protected:
  static constexpr uint64_t kHeader = 8;
  explicit BoxWalker(Step first = Read(kHeader)) : PartWalker(first) {}

  // A box: `body` bytes follow, to the file's end where `open`. BodyThenBox passes over them.
  virtual Step OnBox(absl::string_view type, uint64_t body, bool open) = 0;
  // The contents that OnBox asked for.
  virtual Step OnContents(absl::string_view contents) = 0;
  // What stands here is no box.
  virtual Step OnNoBox() { return Broken(); }

  Step NextBox(uint64_t skip) {
    expecting_ = Part::kHeader;
    return SkipThenRead(skip, kHeader);
  }
  Step Contents(uint64_t bytes) {
    expecting_ = Part::kContents;
    return bytes == 0 ? NextBox(0) : Read(bytes);
  }
  // The file may end here.
  bool between_boxes() const { return expecting_ == Part::kHeader && at_part(); }

 private:
  enum class Part : uint8_t { kHeader, kLargeSize, kContents };

  Step OnPart(absl::string_view part) final {
    switch (expecting_) {
      case Part::kHeader: {
        const uint64_t size = PartBe32(part, 0);
        type_ = std::string(part.substr(4));
        if (!IsBoxType(type_)) return OnNoBox();
        if (size == 1) {
          expecting_ = Part::kLargeSize;
          return Read(8);
        }
        if (size == 0) return OnBox(type_, 0, /*open=*/true);
        return size < kHeader ? Broken() : OnBox(type_, size - kHeader, /*open=*/false);
      }
      case Part::kLargeSize: {
        const uint64_t size = PartBe64(part, 0);
        if (size < kHeader + 8 || size > uint64_t{1} << 62) return Broken();
        return OnBox(type_, size - kHeader - 8, /*open=*/false);
      }
      case Part::kContents:
        return OnContents(part);
    }
    return Broken();
  }

  Part expecting_ = Part::kHeader;
  std::string type_;
};

class HeifWalker final : public BoxWalker {
 public:
  std::optional<bool> Finish() const override {
    const std::optional<bool> walked = PartWalker::Finish();
    if (!walked.has_value()) return std::nullopt;
    const bool has_images = located_ || movie_;
    const bool has_sequence = !sequence_ || (movie_ && media_);
    return (*walked || between_boxes()) && has_images && has_sequence && position() >= end_;
  }

 private:
  Step OnBox(absl::string_view type, uint64_t body, bool open) override {
    if (type == "moov") movie_ = true;
    if (type == "mdat") media_ = true;
    if (open) return EndAfter(0);
    // What lies in a meta box follows as if it lay in the file itself, the box's end is checked on its own.
    end_ = std::max(end_, position() + body);
    wanted_ = type == "ftyp" ? Wanted::kBrands : type == "meta" ? Wanted::kMeta : Wanted::kLocations;
    if (type == "meta") return body < 4 ? Broken() : Contents(4);
    if (type == "ftyp" || type == "iloc") return Contents(body);
    return NextBox(body);
  }

  Step OnContents(absl::string_view contents) override {
    const absl::string_view brand = contents.substr(0, 4);
    switch (wanted_) {
      case Wanted::kBrands:
        // Only the first counts: files of a single image name those of sequences as compatible.
        sequence_ = brand == "avis" || brand == "msf1" || brand == "hevc" || brand == "hevx";
        break;
      case Wanted::kMeta:
        break;
      case Wanted::kLocations:
        located_ = true;
        if (!ReadLocations(contents)) return Broken();
        break;
    }
    return NextBox(0);
  }

  // Some cameras append what is no box: nothing that the images need.
  Step OnNoBox() override { return located_ || movie_ ? EndAfter(0) : Broken(); }

  // 23008-12, 8.11.3 of 14496-12: the extents of all items that lie in this file.
  bool ReadLocations(absl::string_view iloc) {
    size_t at = 0;
    const auto number = [&](size_t bytes) {
      uint64_t value = 0;
      for (size_t i = 0; i < bytes && at < iloc.size(); ++i, ++at) {
        value = value << 8 | static_cast<uint8_t>(iloc[at]);
      }
      return value;
    };
    const uint64_t version = number(1);
    number(3);
    const uint64_t sizes = number(2);
    const size_t offset_size = sizes >> 12, length_size = sizes >> 8 & 15, base_size = sizes >> 4 & 15;
    const size_t index_size = version > 0 ? sizes & 15 : 0;
    const size_t extent_bytes = index_size + offset_size + length_size;
    const uint64_t items = number(version < 2 ? 2 : 4);
    for (uint64_t item = 0; item < items; ++item) {
      if (at >= iloc.size()) return false;
      number(version < 2 ? 2 : 4);
      const uint64_t method = version > 0 ? number(2) & 15 : 0;
      number(2);  // data_reference_index
      const uint64_t base = number(base_size);
      // Extents that take no bytes are all the same one.
      const uint64_t extents = std::min<uint64_t>(number(2), extent_bytes > 0 ? 65535 : 1);
      for (uint64_t extent = 0; extent < extents; ++extent) {
        if (extent_bytes > 0 && at >= iloc.size()) return false;
        number(index_size);
        const uint64_t offset = number(offset_size), length = number(length_size);
        constexpr uint64_t kMost = uint64_t{1} << 61;
        if (method == 0 && base < kMost && offset < kMost && length < kMost) {
          end_ = std::max(end_, base + offset + length);
        }
      }
    }
    return true;
  }

  enum class Wanted : uint8_t { kBrands, kMeta, kLocations } wanted_ = Wanted::kBrands;
  bool sequence_ = false, located_ = false, movie_ = false, media_ = false;
  uint64_t end_ = 0;
};

class JxlWalker final : public BoxWalker {
 public:
  void Add(absl::string_view bytes) override {
    bare_ = bare_ || (position() == 0 && absl::StartsWith(bytes, "\xff"));
    if (!bare_) BoxWalker::Add(bytes);
  }
  std::optional<bool> Finish() const override { return bare_ ? std::nullopt : BoxWalker::Finish(); }

 private:
  static constexpr uint64_t kIndex = 4;

  Step OnBox(absl::string_view type, uint64_t body, bool open) override {
    if (type == "jxlc") return open ? Unknown() : EndAfter(body);
    if (type == "jxlp") {
      if (open) return Unknown();
      if (body < kIndex) return Broken();
      body_ = body - kIndex;
      return Contents(kIndex);
    }
    return open ? Broken() : NextBox(body);
  }
  Step OnContents(absl::string_view index) override {
    const bool last = PartBe32(index, 0) >> 31;
    return last ? EndAfter(body_) : NextBox(body_);
  }

  bool bare_ = false;  // A codestream without boxes.
  uint64_t body_ = 0;
};

// Also the codestream alone.
class Jp2Walker final : public BoxWalker {
 public:
  explicit Jp2Walker(bool boxed) : BoxWalker(Read(boxed ? kHeader : 2)) {
    if (!boxed) Contents(2);
  }

  void Add(absl::string_view bytes) override {
    PartWalker::Add(bytes);
    last_two_.append(bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 2)).data(),
                     std::min<size_t>(bytes.size(), 2));
    if (last_two_.size() > 2) last_two_.erase(0, last_two_.size() - 2);
  }
  std::optional<bool> Finish() const override {
    if (open_tile_) return last_two_ == "\xff\xd9";
    return PartWalker::Finish();
  }

 private:
  static constexpr uint16_t kSoc = 0xff4f, kSot = 0xff90, kEoc = 0xffd9;

  Step OnBox(absl::string_view type, uint64_t body, bool open) override {
    if (type == "jp2c") return Marker(0);
    return open ? Broken() : NextBox(body);
  }

  Step Marker(uint64_t skip) {
    part_ = Part::kMarker;
    Contents(2);
    return SkipThenRead(skip, 2);
  }
  Step OnContents(absl::string_view part) override {
    switch (part_) {
      case Part::kMarker:
        marker_ = PartBe16(part, 0);
        if (marker_ == kSoc) return Marker(0);
        if (marker_ == kEoc) return EndAfter(0);
        if (marker_ < 0xff00) return Broken();
        part_ = marker_ == kSot ? Part::kTile : Part::kLength;
        return Read(marker_ == kSot ? 10 : 2);
      case Part::kLength:
        return PartBe16(part, 0) < 2 ? Broken() : Marker(PartBe16(part, 0) - 2);
      case Part::kTile: {
        const uint64_t bytes = PartBe32(part, 4);  // From the marker on.
        open_tile_ = bytes == 0;                   // To the EOC, which is then the file's end.
        if (open_tile_) return EndAfter(0);
        return bytes < 14 ? Broken() : Marker(bytes - 12);
      }
    }
    return Broken();
  }

  enum class Part : uint8_t { kMarker, kLength, kTile } part_ = Part::kMarker;
  bool open_tile_ = false;
  uint16_t marker_ = 0;
  std::string last_two_;
};

}  // namespace

std::unique_ptr<Walker> WalkHeif() { return std::make_unique<HeifWalker>(); }
std::unique_ptr<Walker> WalkJxl() { return std::make_unique<JxlWalker>(); }
std::unique_ptr<Walker> WalkJp2() { return std::make_unique<Jp2Walker>(/*boxed=*/true); }
std::unique_ptr<Walker> WalkJ2k() { return std::make_unique<Jp2Walker>(/*boxed=*/false); }

}  // namespace imgfleet::image
