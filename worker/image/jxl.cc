// JPEG XL: a codestream, naked or in the boxes of an ISO media file: whole in one jxlc, or in pieces in jxlp boxes, cut
// at any byte. Its header is a string of bits, read up to the colour encoding: size, orientation, preview, animation,
// depth, extra channels. An Exif box is not asked: where the two differ, the codestream's orientation holds.
//
// Sizes and orders of the fields: ISO/IEC 18181-1, image header; boxes: 18181-2.
#include "absl/strings/str_cat.h"
#include "worker/image/box.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint64_t kHint = 1024;

ProbeResult StoppedWalk(Source& source, BoxWalk::Step step, const BoxWalk& walk) {
  if (step == BoxWalk::Step::kMissing) {
    return source.Missing(Format::kJxl, walk.need_offset(), walk.need_size(), kHint);
  }
  if (step == BoxWalk::Step::kEnd)
    return Corrupt(Format::kJxl, "JPEG XL: the codestream is missing or breaks off");
  return Corrupt(Format::kJxl, absl::StrCat("JPEG XL: ", walk.problem()));
}

// The codestream's bytes in order, wherever in the file they lie. Once a byte cannot be had, result() says why.
class Codestream {
 public:
  Codestream(Source& source, uint64_t begin, uint64_t end) : source_(source), at_(begin), end_(end) {}
  // In pieces: `first`, and those that `walk` comes to.
  Codestream(Source& source, BoxWalk* walk, const Box& first) : source_(source), walk_(walk) {
    failed_ = !BeginPart(first);
  }

  uint8_t Next() {
    while (!failed_ && at_ == end_) failed_ = !NextPart();
    if (!failed_ && !source_.Has(at_, 1)) {
      result_ = source_.Missing(Format::kJxl, at_, 1, kHint);
      failed_ = true;
    }
    return failed_ ? 0 : source_.U8(at_++);
  }
  bool failed() const { return failed_; }
  const ProbeResult& result() const { return result_; }

 private:
  bool BeginPart(const Box& box);
  bool NextPart();
  bool Fail(absl::string_view message) {
    result_ = Corrupt(Format::kJxl, message);
    return false;
  }

  Source& source_;
  BoxWalk* const walk_ = nullptr;
  uint64_t at_ = 0, end_ = 0;
  // Of the pieces: the number of the last one, and that none follows it.
  int64_t number_ = -1;
  bool last_ = false;
  bool failed_ = false;
  ProbeResult result_;
};

// A piece begins with its number, whose highest bit marks the last one.
bool Codestream::BeginPart(const Box& box) {
  if (box.end - box.begin < 4) return Fail("JPEG XL: a piece of the codestream without a number");
  if (!source_.Has(box.begin, 4)) {
    result_ = source_.Missing(Format::kJxl, box.begin, 4, kHint);
    return false;
  }
  const uint32_t number = source_.Be32(box.begin);
  last_ = number >> 31;
  if ((number & 0x7FFFFFFF) <= number_) return Fail("JPEG XL: the pieces of the codestream are out of order");
  number_ = number & 0x7FFFFFFF;
  at_ = box.begin + 4;
  end_ = box.end;
  return true;
}

bool Codestream::NextPart() {
  if (walk_ == nullptr || last_) return Fail("JPEG XL: the codestream breaks off");
  Box box;
  BoxWalk::Step step;
  while ((step = walk_->Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("jxlp")) return BeginPart(box);
  }
  result_ = StoppedWalk(source_, step, *walk_);
  return false;
}

// Bits, the lowest of each byte first, and the numbers made of them.
class Bits {
 public:
  explicit Bits(Codestream& bytes) : bytes_(bytes) {}

  uint32_t Get(int count) {
    uint64_t value = 0;
    for (int have = 0; have < count;) {
      if (left_ == 0) {
        byte_ = bytes_.Next();
        left_ = 8;
      }
      const int take = std::min(left_, count - have);
      value |= static_cast<uint64_t>(byte_ & ((1u << take) - 1)) << have;
      byte_ = static_cast<uint8_t>(byte_ >> take);
      left_ -= take;
      have += take;
    }
    return static_cast<uint32_t>(value);
  }
  bool Flag() { return Get(1) != 0; }

  // One of four ways to write a number, chosen by two bits: `base` plus that many bits.
  struct Way {
    uint32_t base;
    int bits;
  };
  uint32_t Number(Way a, Way b, Way c, Way d) {
    const Way ways[4] = {a, b, c, d};
    const Way way = ways[Get(2)];
    return way.base + Get(way.bits);
  }
  uint32_t Enum() { return Number({0, 0}, {1, 0}, {2, 4}, {18, 6}); }

 private:
  Codestream& bytes_;
  uint8_t byte_ = 0;
  int left_ = 0;
};

// Width from height, by one of seven fixed ratios.
uint32_t ByRatio(uint32_t ratio, uint32_t height) {
  constexpr uint64_t kRatios[8][2] = {{0, 1}, {1, 1}, {12, 10}, {4, 3}, {3, 2}, {16, 9}, {5, 4}, {2, 1}};
  return static_cast<uint32_t>(height * kRatios[ratio][0] / kRatios[ratio][1]);
}

void ReadSize(Bits& bits, uint32_t* width, uint32_t* height) {
  const bool small = bits.Flag();
  auto side = [&] { return small ? (bits.Get(5) + 1) * 8 : bits.Number({1, 9}, {1, 13}, {1, 18}, {1, 30}); };
  *height = side();
  const uint32_t ratio = bits.Get(3);
  *width = ratio == 0 ? side() : ByRatio(ratio, *height);
}

void SkipPreview(Bits& bits) {
  const bool eighths = bits.Flag();
  auto side = [&] {
    return eighths ? bits.Number({16, 0}, {32, 0}, {1, 5}, {33, 9})
                   : bits.Number({1, 6}, {65, 8}, {321, 10}, {1345, 12});
  };
  side();
  if (bits.Get(3) == 0) side();
}

void ReadAnimation(Bits& bits, ImageInfo& info) {
  bits.Number({100, 0}, {1000, 0}, {1, 10}, {1, 30});  // Ticks a second,
  bits.Number({1, 0}, {1001, 0}, {1, 8}, {1, 10});     // divided by this.
  info.loop_count = bits.Number({0, 0}, {0, 3}, {0, 16}, {0, 32});
  bits.Flag();  // Time codes.
  info.animated = true;
  info.frames.reset();
}

// 0 for a depth that is none.
uint8_t ReadDepth(Bits& bits) {
  const bool floats = bits.Flag();
  const uint32_t depth =
      floats ? bits.Number({32, 0}, {16, 0}, {24, 0}, {1, 6}) : bits.Number({8, 0}, {10, 0}, {12, 0}, {1, 6});
  if (!floats) return depth <= 31 ? static_cast<uint8_t>(depth) : 0;
  const uint32_t exponent = bits.Get(4) + 1;
  const bool possible = exponent >= 2 && exponent <= 8 && depth >= exponent + 3 && depth <= exponent + 24;
  return possible && depth <= 32 ? static_cast<uint8_t>(depth) : 0;
}

enum ChannelKind : uint32_t { kAlpha = 0, kSpotColor = 2, kBlack = 4, kFilterArray = 5, kLastKind = 16 };

// False for a channel that cannot be.
bool ReadChannel(Bits& bits, ChannelKind* kind) {
  *kind = kAlpha;
  if (bits.Flag()) return true;
  *kind = static_cast<ChannelKind>(bits.Enum());
  if (*kind > kLastKind || ReadDepth(bits) == 0) return false;
  bits.Number({0, 0}, {3, 0}, {4, 0}, {1, 3});  // Its scale.
  const uint32_t name = bits.Number({0, 0}, {0, 4}, {16, 5}, {48, 10});
  for (uint32_t i = 0; i < name; ++i) bits.Get(8);
  if (*kind == kAlpha) bits.Flag();
  if (*kind == kFilterArray) bits.Number({1, 0}, {0, 2}, {3, 4}, {19, 8});
  for (int i = 0; *kind == kSpotColor && i < 4; ++i) bits.Get(16);
  return true;
}

// What follows the size; false if it cannot be.
bool ReadMetadata(Codestream& bytes, Bits& bits, ImageInfo& info) {
  info.frames = 1;
  info.bit_depth = 8;
  info.channels = 3;
  info.has_alpha = info.has_icc = false;
  info.color_space = ColorSpace::kXyb;
  SetOrientation(info, 1);
  if (bits.Flag()) return true;  // All as usual.
  if (bits.Flag()) {
    SetOrientation(info, static_cast<uint8_t>(bits.Get(3) + 1));
    uint32_t width, height;
    if (bits.Flag()) ReadSize(bits, &width, &height);  // For the layout of a page; no size of the image.
    if (bits.Flag()) SkipPreview(bits);
    if (bits.Flag()) ReadAnimation(bits, info);
  }
  info.bit_depth = ReadDepth(bits);
  if (*info.bit_depth == 0) return false;
  bits.Flag();  // 16 bits are enough to decode it.
  const uint32_t extra = bits.Number({0, 0}, {1, 0}, {2, 4}, {1, 12});
  bool black = false;
  for (uint32_t i = 0; i < extra && !bytes.failed(); ++i) {
    ChannelKind kind;
    if (!ReadChannel(bits, &kind)) return false;
    if (kind == kAlpha) info.has_alpha = true;
    black = black || kind == kBlack;
  }
  const bool xyb = bits.Flag();
  constexpr ColorSpace kSpaces[4] = {ColorSpace::kRgb, ColorSpace::kGray, ColorSpace::kXyb,
                                     ColorSpace::kUnknown};
  uint32_t space = 0;
  if (!bits.Flag()) {  // Not sRGB.
    info.has_icc = bits.Flag();
    space = bits.Enum();
    if (space > 3) return false;
  }
  const uint32_t channels = (kSpaces[space] == ColorSpace::kGray ? 1 : 3) + extra;
  info.channels.reset();
  if (channels <= 255) info.channels = static_cast<uint8_t>(channels);
  // What frames make of it (recompressed JPEGs are stored as YCbCr) is their coding, not the image's colours.
  if (!xyb) info.color_space = black ? ColorSpace::kCmyk : kSpaces[space];
  return true;
}

ProbeResult ReadCodestream(Codestream& bytes) {
  ImageInfo info;
  info.format = Format::kJxl;
  const bool signature = bytes.Next() == 0xFF && bytes.Next() == 0x0A;
  Bits bits(bytes);
  ReadSize(bits, &info.width, &info.height);
  const bool possible = ReadMetadata(bytes, bits, info);
  if (bytes.failed()) return bytes.result();
  if (!signature) return Corrupt(Format::kJxl, "JPEG XL: no codestream where one must be");
  if (!possible) return Corrupt(Format::kJxl, "JPEG XL: impossible values in the image header");
  if (info.width == 0) return Corrupt(Format::kJxl, "JPEG XL: an image without area");
  return Ok(info);
}

}  // namespace

ProbeResult ReadJxlCodestream(Source& source) {
  Codestream bytes(source, 0, kMaxOffset);
  return ReadCodestream(bytes);
}

ProbeResult ReadJxlBoxes(Source& source) {
  constexpr uint64_t kSignature = 12;
  // Not up to the known end of the file: where a cut file's boxes reach beyond it, that is told as cut.
  BoxWalk walk(source, kSignature, kMaxOffset);
  Box box;
  BoxWalk::Step step;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("jxlc")) {
      Codestream bytes(source, box.begin, box.end);
      return ReadCodestream(bytes);
    }
    if (box.type == BoxType("jxlp")) {
      Codestream bytes(source, &walk, box);
      return ReadCodestream(bytes);
    }
  }
  return StoppedWalk(source, step, walk);
}

}  // namespace imgfleet::image
