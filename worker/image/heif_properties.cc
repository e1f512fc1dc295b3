#include "worker/image/heif_properties.h"

#include <utility>

#include "worker/image/orientation.h"

namespace imgfleet::image {
namespace {

class PropertyReader {
 public:
  PropertyReader(Source& source, MetaAnswer& answer, ImageInfo& info)
      : source_(source), answer_(answer), info_(info) {}

  // Each of these returns false after setting answer_.
  bool Shape(const ItemProperties& primary);
  bool Samples(const ItemProperties& item);
  bool Transparency(const ItemProperties& auxiliary);
  void Conclude();

 private:
  bool Size(const Box& box);
  bool Crop(const Box& box);
  void Turn(uint8_t orientation);
  bool Pixels(const Box& box);
  bool CodecSamples(const Box& box);
  bool Colors(const Box& box);
  bool Auxiliary(const Box& box);

  Source& source_;
  MetaAnswer& answer_;
  ImageInfo& info_;
  bool colors_told_ = false;
  bool identity_matrix_ = false;
};

bool PropertyReader::Size(const Box& box) {
  if (!answer_.Need(box, 12)) return false;
  info_.width = source_.Be32(box.begin + 4);
  info_.height = source_.Be32(box.begin + 8);
  if (info_.width == 0 || info_.height == 0) return answer_.Fail("HEIF: the primary item has no area");
  SetOrientation(info_, 1);
  return true;
}

// Clean aperture: the size that is left of the image; where in it does not matter here.
bool PropertyReader::Crop(const Box& box) {
  if (!answer_.Need(box, 32)) return false;
  uint32_t* const sides[2] = {&info_.display_width, &info_.display_height};
  for (int i = 0; i < 2; ++i) {
    const uint64_t numerator = source_.Be32(box.begin + 8 * i);
    const uint64_t denominator = source_.Be32(box.begin + 8 * i + 4);
    if (denominator == 0) return answer_.Fail("HEIF: a clean aperture divided by 0");
    const uint64_t side = (numerator + denominator / 2) / denominator;
    if (side == 0) return answer_.Fail("HEIF: a clean aperture without area");
    *sides[i] = static_cast<uint32_t>(std::min<uint64_t>(side, *sides[i]));
  }
  return true;
}

void PropertyReader::Turn(uint8_t orientation) {
  if (SwapsSides(orientation)) std::swap(info_.display_width, info_.display_height);
  info_.orientation = CombineOrientations(info_.orientation, orientation);
}

// The decoder's configuration knows depth and channels too; pixi, where it stands, is the container's own word.
bool PropertyReader::CodecSamples(const Box& box) {
  if (info_.bit_depth.has_value()) return true;
  if (box.type == BoxType("hvcC")) {
    if (!answer_.Need(box, 18)) return false;
    info_.channels = (source_.U8(box.begin + 16) & 3) == 0 ? 1 : 3;
    info_.bit_depth = static_cast<uint8_t>(8 + (source_.U8(box.begin + 17) & 7));
  } else {
    if (!answer_.Need(box, 3)) return false;
    const uint8_t flags = source_.U8(box.begin + 2);
    info_.channels = flags & 0x10 ? 1 : 3;
    info_.bit_depth = flags & 0x40 ? (flags & 0x20 ? 12 : 10) : 8;
  }
  return true;
}

// colr: "nclx" gives numbers, of which the matrix 0 means that nothing was done to RGB; else a colour profile.
bool PropertyReader::Colors(const Box& box) {
  colors_told_ = true;
  if (!answer_.Need(box, 4)) return false;
  const uint32_t kind = source_.Be32(box.begin);
  if (kind == BoxType("prof") || kind == BoxType("rICC")) info_.has_icc = true;
  if (kind != BoxType("nclx")) return true;
  if (!answer_.Need(box, 10)) return false;
  identity_matrix_ = source_.Be16(box.begin + 8) == 0;
  return true;
}

// auxC says what an auxiliary item is, by a name that ends with a zero.
bool PropertyReader::Auxiliary(const Box& box) {
  for (const absl::string_view name : {absl::string_view("urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"),
                                       absl::string_view("urn:mpeg:hevc:2015:auxid:1")}) {
    const uint64_t size = 4 + name.size() + 1;
    if (box.end - box.begin < size) continue;
    if (!answer_.Need(box, size)) return false;
    if (source_.Equals(box.begin + 4, name) && source_.U8(box.begin + size - 1) == 0) info_.has_alpha = true;
  }
  return true;
}

// pixi: how many samples a pixel has, and the bits of each.
bool PropertyReader::Pixels(const Box& box) {
  if (!answer_.Need(box, 5)) return false;
  const uint8_t channels = source_.U8(box.begin + 4);
  if (channels == 0) return true;
  if (!answer_.Need(box, 5u + channels)) return false;
  info_.channels = channels;
  info_.bit_depth = source_.U8(box.begin + 5);
  return true;
}

bool PropertyReader::Shape(const ItemProperties& primary) {
  // The size first, wherever it stands in the list; then what transforms it, in the order of the list.
  for (size_t k = 0; k < primary.size() && info_.width == 0; ++k) {
    if (primary.box(k).type == BoxType("ispe") && !Size(primary.box(k))) return false;
  }
  if (info_.width == 0) return answer_.Fail("HEIF: the primary item has no size (ispe)");
  for (size_t k = 0; k < primary.size(); ++k) {
    const Box& box = primary.box(k);
    if (box.type == BoxType("clap")) {
      if (!Crop(box)) return false;
    } else if (box.type == BoxType("irot")) {
      if (!answer_.Need(box, 1)) return false;
      constexpr uint8_t kTurns[4] = {1, 8, 3, 6};  // Quarter turns against the clock.
      Turn(kTurns[source_.U8(box.begin) & 3]);
    } else if (box.type == BoxType("imir")) {
      if (!answer_.Need(box, 1)) return false;
      Turn(source_.U8(box.begin) & 1 ? 2 : 4);  // Axis 1 exchanges left and right, 0 top and bottom.
    } else if (box.type == BoxType("pixi")) {
      if (!Pixels(box)) return false;
    } else if (box.type == BoxType("colr")) {
      if (!Colors(box)) return false;
    }
  }
  return true;
}

bool PropertyReader::Samples(const ItemProperties& item) {
  const bool wants_colors = !colors_told_;
  for (size_t k = 0; k < item.size(); ++k) {
    const Box& box = item.box(k);
    const bool codec = box.type == BoxType("hvcC") || box.type == BoxType("av1C");
    if (codec && !CodecSamples(box)) return false;
    if (wants_colors && box.type == BoxType("colr") && !Colors(box)) return false;
  }
  return true;
}

bool PropertyReader::Transparency(const ItemProperties& auxiliary) {
  for (size_t k = 0; k < auxiliary.size(); ++k) {
    if (auxiliary.box(k).type == BoxType("auxC") && !Auxiliary(auxiliary.box(k))) return false;
  }
  return true;
}

void PropertyReader::Conclude() {
  if (!info_.channels.has_value()) return;
  if (*info_.channels == 1) info_.color_space = ColorSpace::kGray;
  if (*info_.channels == 3) info_.color_space = identity_matrix_ ? ColorSpace::kRgb : ColorSpace::kYcbcr;
  // The alpha plane is a sample of each pixel, wherever it is stored.
  if (info_.has_alpha.value_or(false) && *info_.channels < 255) ++*info_.channels;
}

}  // namespace

bool ApplyItemProperties(Source& source, const ItemProperties& primary, const ItemProperties& tile,
                         const ItemProperties& auxiliary, MetaAnswer& answer, ImageInfo& info) {
  PropertyReader reader(source, answer, info);
  const bool read = reader.Shape(primary) && reader.Samples(primary) && reader.Samples(tile) &&
                    reader.Transparency(auxiliary);
  if (read) reader.Conclude();
  return read;
}

}  // namespace imgfleet::image
