// TIFF by libtiff, the first directory, as RGBA of eight bits.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

struct Close {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};

// The file, where libtiff stands in it, and the last thing it complained of.
struct Memory {
  absl::string_view file;
  uint64_t at = 0;
  bool beyond = false;  // It asked for bytes behind the end.
};

std::string last_error;  // libtiff's handlers know no context; the decoder has one thread.

void OnError(const char*, const char* format, va_list arguments) {
  char text[200];
  vsnprintf(text, sizeof(text), format, arguments);
  last_error = text;
}

tmsize_t Read(thandle_t handle, void* to, tmsize_t size) {
  auto* memory = static_cast<Memory*>(handle);
  const uint64_t left = memory->file.size() - std::min<uint64_t>(memory->at, memory->file.size());
  const uint64_t count = std::min<uint64_t>(left, static_cast<uint64_t>(std::max<tmsize_t>(size, 0)));
  if (count < static_cast<uint64_t>(size)) memory->beyond = true;
  memcpy(to, memory->file.data() + (count > 0 ? memory->at : 0), count);
  memory->at += count;
  return static_cast<tmsize_t>(count);
}

toff_t Seek(thandle_t handle, toff_t offset, int whence) {
  auto* memory = static_cast<Memory*>(handle);
  if (whence == SEEK_CUR) offset += memory->at;
  if (whence == SEEK_END) offset += memory->file.size();
  return memory->at = offset;
}

class Image {
 public:
  ~Image() {
    if (begun_) TIFFRGBAImageEnd(&image_);
  }
  bool Begin(TIFF* tiff, char* why) {
    return begun_ = TIFFRGBAImageBegin(&image_, tiff, /*stop=*/1, why) != 0;
  }
  TIFFRGBAImage* operator->() { return &image_; }
  TIFFRGBAImage* get() { return &image_; }

 private:
  TIFFRGBAImage image_{};
  bool begun_ = false;
};

// What libtiff reads at a time: a strip or a tile, of all planes.
uint64_t PieceBytes(TIFF* tiff) {
  uint16_t planes = PLANARCONFIG_CONTIG, samples = 1;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planes);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  const uint64_t one = TIFFIsTiled(tiff) ? TIFFTileSize64(tiff) : TIFFStripSize64(tiff);
  return planes == PLANARCONFIG_SEPARATE ? one * samples : one;
}

}  // namespace

absl::StatusOr<Decoded> DecodeTiff(absl::string_view file, const DecodeLimits& limits) {
  TIFFSetWarningHandler(nullptr);
  TIFFSetErrorHandler(OnError);
  last_error.clear();
  Memory memory{file};
  const auto failure = [&memory] { return memory.beyond ? Truncated(last_error) : Damaged(last_error); };
  // "m": not mapped.
  const std::unique_ptr<TIFF, Close> tiff(TIFFClientOpen(
      "image", "rm", &memory, Read, [](thandle_t, void*, tmsize_t) -> tmsize_t { return 0; }, Seek,
      [](thandle_t) { return 0; },
      [](thandle_t handle) -> toff_t { return static_cast<Memory*>(handle)->file.size(); }, nullptr,
      nullptr));
  if (tiff == nullptr) return failure();
  uint32_t width = 0, height = 0;
  if (!TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width) ||
      !TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height))
    return failure();
  if (absl::Status size = CheckSize(width, height, 4, limits); !size.ok()) return size;
  // The image as RGBA, and a strip of it: that may be all of the image, or a tile be larger.
  const uint64_t pixel_count = uint64_t{width} * height;
  const uint64_t piece = PieceBytes(tiff.get()) / pixel_count + (PieceBytes(tiff.get()) % pixel_count != 0);
  if (absl::Status size = CheckSize(width, height, 4 + piece, limits); !size.ok()) return size;
  char why[1024] = "";
  if (!TIFFRGBAImageOK(tiff.get(), why)) return Unsupported(why);
  Image image;
  if (!image.Begin(tiff.get(), why)) return memory.beyond ? Truncated(why) : Unsupported(why);
  image->req_orientation = image->orientation;  // As stored: who asks knows how it is to be turned.
  std::vector<uint32_t> pixels(size_t{width} * height);
  if (!TIFFRGBAImageGet(image.get(), pixels.data(), width, height) || memory.beyond) return failure();

  Shrinker shrinker(width, height);
  std::vector<uint8_t> row(size_t{width} * 4);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const uint32_t pixel = pixels[size_t{y} * width + x];
      const uint32_t alpha = TIFFGetA(pixel);
      // libtiff multiplies colours by their alpha.
      const auto plain = [alpha](uint32_t sample) {
        return static_cast<uint8_t>(alpha == 0 ? 0 : std::min(255u, (sample * 255 + alpha / 2) / alpha));
      };
      row[size_t{x} * 4] = plain(TIFFGetR(pixel));
      row[size_t{x} * 4 + 1] = plain(TIFFGetG(pixel));
      row[size_t{x} * 4 + 2] = plain(TIFFGetB(pixel));
      row[size_t{x} * 4 + 3] = static_cast<uint8_t>(alpha);
    }
    shrinker.Add(row.data(), Shrinker::Layout::kRgba, y, width);
  }
  Decoded decoded;
  decoded.raster = shrinker.Finish();
  uint32_t length = 0;
  void* profile = nullptr;
  if (TIFFGetField(tiff.get(), TIFFTAG_ICCPROFILE, &length, &profile))
    decoded.icc.assign(static_cast<const char*>(profile), length);
  return decoded;
}

}  // namespace imgfleet::decoder
