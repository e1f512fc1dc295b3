// GIF: the logical screen gives the size. Whether it moves stands nowhere: a second image shows it, and that
// comes behind all of the first one's pixels. The file's first bytes (kFieldReach) are walked; where they hold no second
// image and not the end of the file, the looping extension is taken as the header's word for it. How often it
// loops and whether there is a colour profile stand in extensions before the first image.
#include <algorithm>
#include <optional>

#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint8_t kExtension = 0x21, kImage = 0x2C, kTrailer = 0x3B;
constexpr uint8_t kGraphicControl = 0xF9, kApplication = 0xFF;

uint64_t TableBytes(uint8_t flags) { return flags & 0x80 ? 3u << ((flags & 7) + 1) : 0; }

struct Blocks {
  uint32_t images = 0;
  // What the looping extension says: 0 for ever, else how often the animation is shown again.
  std::optional<uint16_t> repeats;
  bool ended = false;  // The trailer was reached.
};

// Walks blocks from `at` on, as far as they lie before `limit`. Returns the first offset below `limit` that
// is not at hand, or `limit`.
uint64_t Walk(Source& source, uint64_t at, uint64_t limit, Blocks& blocks, ImageInfo& info) {
  auto there = [&](uint64_t size) { return at + size <= limit && source.Has(at, size); };
  auto stopped = [&](uint64_t size) { return at + size > limit ? limit : at; };
  auto skip_sub_blocks = [&] {
    while (there(1)) {
      const uint8_t size = source.U8(at);
      at += 1u + size;
      if (size == 0) return true;
    }
    return false;
  };
  for (;;) {
    if (!there(1)) return stopped(1);
    const uint8_t block = source.U8(at);
    if (block == kExtension) {
      if (!there(2)) return stopped(2);
      const uint8_t label = source.U8(at + 1);
      if (label == kGraphicControl) {
        if (!there(4)) return stopped(4);
        if (source.U8(at + 3) & 1) info.has_alpha = true;
      } else if (label == kApplication) {
        if (!there(14)) return stopped(14);
        if (source.Equals(at + 3, "ICCRGBG1012")) info.has_icc = true;
        if (source.Equals(at + 3, "NETSCAPE2.0") || source.Equals(at + 3, "ANIMEXTS1.0")) {
          // A sub-block of three bytes: 1, then the number.
          if (!there(18)) return stopped(18);
          if (source.U8(at + 14) >= 3 && (source.U8(at + 15) & 7) == 1) blocks.repeats = source.Le16(at + 16);
        }
      }
      at += 2;
    } else if (block == kImage) {
      if (!there(10)) return stopped(10);
      const uint8_t flags = source.U8(at + 9);
      if (blocks.images++ == 0) {
        info.progressive = (flags & 0x40) != 0;
        if (!info.has_icc.has_value()) info.has_icc = false;
      }
      at += 10 + TableBytes(flags) + 1;  // The table, and the code size before the pixels.
    } else {
      blocks.ended = block == kTrailer;
      return limit;  // Behind what is no block, readers go on each in its own way.
    }
    if (!skip_sub_blocks()) return stopped(1);
  }
}

}  // namespace

ProbeResult ReadGif(Source& source) {
  if (!source.Has(0, 13)) return source.Missing(Format::kGif, 0, 13);
  ImageInfo info;
  info.format = Format::kGif;
  info.width = source.Le16(6);
  info.height = source.Le16(8);
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kGif, "GIF: a logical screen without area");
  SetOrientation(info, 1);
  const uint8_t flags = source.U8(10);
  info.channels = 1;
  info.color_space = ColorSpace::kPalette;
  if (flags & 0x80) info.bit_depth = (flags & 7) + 1;

  Blocks blocks;
  const uint64_t limit = std::min(kFieldReach, source.total().value_or(kFieldReach));
  const uint64_t reached = Walk(source, 13 + TableBytes(flags), limit, blocks, info);
  if (reached < limit) return source.Missing(Format::kGif, reached, 1, limit - reached);
  info.animated = blocks.images > 1 || (blocks.repeats.has_value() && !blocks.ended);
  // Shown once, and again as often as the extension says.
  if (info.animated)
    info.loop_count = !blocks.repeats ? 1u : *blocks.repeats == 0 ? 0u : *blocks.repeats + 1u;
  if (blocks.ended && blocks.images > 0) {
    info.frames = blocks.images;
    if (!info.has_alpha.has_value()) info.has_alpha = false;
  }
  return Ok(info);
}

}  // namespace imgfleet::image
