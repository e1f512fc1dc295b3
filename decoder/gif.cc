// GIF by giflib, line by line: the first image, on a screen that is transparent around it.
#include <gif_lib.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

struct Close {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};

int ReadFrom(GifFileType* gif, GifByteType* to, int wanted) {
  auto* rest = static_cast<absl::string_view*>(gif->UserData);
  const size_t count = std::min(rest->size(), static_cast<size_t>(std::max(wanted, 0)));
  memcpy(to, rest->data(), count);
  rest->remove_prefix(count);
  return static_cast<int>(count);
}

absl::Status Failure(int error, bool at_end) {
  if (error == D_GIF_ERR_NOT_ENOUGH_MEM) return OutOfMemory();
  if (at_end || error == D_GIF_ERR_READ_FAILED || error == D_GIF_ERR_EOF_TOO_SOON) return Truncated();
  const char* const said = GifErrorString(error);
  return Damaged(said == nullptr ? "giflib gave up" : said);
}

constexpr int kOpaque = -1;

class GifReading {
 public:
  GifReading(absl::string_view file, const DecodeLimits& limits) : rest_(file), limits_(limits) {
    int error = 0;
    gif_.reset(DGifOpen(&rest_, ReadFrom, &error));
    if (gif_ == nullptr) status_ = Failure(error, rest_.empty());
  }

  absl::StatusOr<Decoded> Decode() {
    if (!status_.ok()) return status_;
    int transparent = kOpaque;
    for (GifRecordType record;;) {
      if (DGifGetRecordType(gif_.get(), &record) != GIF_OK) return Failed();
      if (record == TERMINATE_RECORD_TYPE) return Damaged("it holds no image");
      if (record == IMAGE_DESC_RECORD_TYPE) break;
      if (absl::Status read = ReadExtension(&transparent); !read.ok()) return read;
    }
    if (DGifGetImageDesc(gif_.get()) != GIF_OK) return Failed();
    return ReadImage(transparent);
  }

 private:
  absl::Status Failed() const { return Failure(gif_->Error, rest_.empty()); }

  absl::Status ReadExtension(int* transparent) {
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(gif_.get(), &code, &block) != GIF_OK) return Failed();
    while (block != nullptr) {
      GraphicsControlBlock control;
      if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        *transparent = control.TransparentColor;
      if (DGifGetExtensionNext(gif_.get(), &block) != GIF_OK) return Failed();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Decoded> ReadImage(int transparent) {
    const GifImageDesc& image = gif_->Image;
    // What the screen leaves out of the image is shown by nobody, but has to be read.
    const uint32_t width = std::max(gif_->SWidth, 1), height = std::max(gif_->SHeight, 1);
    if (absl::Status size = CheckSize(width, height, 1, limits_); !size.ok()) return size;
    if (absl::Status size = CheckSize(image.Width, image.Height, 1, limits_); !size.ok()) return size;
    const ColorMapObject* const map = image.ColorMap != nullptr ? image.ColorMap : gif_->SColorMap;
    if (map == nullptr) return Damaged("it has no colour table");
    Shrinker shrinker(width, height);
    AddBorder(image, width, height, &shrinker);
    std::vector<GifPixelType> line(image.Width);
    std::vector<uint8_t> pixels(size_t(image.Width) * 4);
    const auto read_rows = [&](int first, int step) {
      for (int y = first; y < image.Height; y += step) {
        if (DGifGetLine(gif_.get(), line.data(), image.Width) != GIF_OK) return false;
        for (int x = 0; x < image.Width; ++x) {
          const int index = line[x];
          const GifColorType colour = index < map->ColorCount ? map->Colors[index] : GifColorType{0, 0, 0};
          uint8_t* const pixel = &pixels[size_t(x) * 4];
          pixel[0] = colour.Red;
          pixel[1] = colour.Green;
          pixel[2] = colour.Blue;
          pixel[3] = index == transparent ? 0 : 255;
        }
        shrinker.Add(pixels.data(), Shrinker::Layout::kRgba, image.Top + y, image.Width, image.Left);
      }
      return true;
    };
    const bool whole = image.Interlace
                           ? read_rows(0, 8) && read_rows(4, 8) && read_rows(2, 4) && read_rows(1, 2)
                           : read_rows(0, 1);
    if (!whole) return Failed();
    Decoded decoded;
    decoded.raster = shrinker.Finish();
    return decoded;
  }

  // The screen around the image counts as transparent pixels.
  static void AddBorder(const GifImageDesc& image, uint32_t width, uint32_t height, Shrinker* shrinker) {
    const uint32_t left = image.Left, top = image.Top, right = left + image.Width,
                   bottom = top + image.Height;
    if (left == 0 && top == 0 && right >= width && bottom >= height) return;
    const std::vector<uint8_t> nothing(size_t{width} * 4);
    for (uint32_t y = 0; y < height; ++y) {
      if (y < top || y >= bottom) {
        shrinker->Add(nothing.data(), Shrinker::Layout::kRgba, y, width);
        continue;
      }
      shrinker->Add(nothing.data(), Shrinker::Layout::kRgba, y, std::min(left, width));
      if (right < width) shrinker->Add(nothing.data(), Shrinker::Layout::kRgba, y, width - right, right);
    }
  }

  absl::string_view rest_;
  const DecodeLimits& limits_;
  std::unique_ptr<GifFileType, Close> gif_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Decoded> DecodeGif(absl::string_view file, const DecodeLimits& limits) {
  return GifReading(file, limits).Decode();
}

}  // namespace imgfleet::decoder
