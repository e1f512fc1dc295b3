// PNG by libpng, row by row; of an interlaced image the pixels of each pass go where they belong, so that it is never
// held whole. Of an APNG the default image is decoded.
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include <optional>
#include <string>
#include <vector>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

constexpr char kShort[] = "the file ends";

// libpng leaves by longjmp: everything that owns memory is a member, and nothing in Run.
class PngReading {
 public:
  PngReading(absl::string_view file, const DecodeLimits& limits) : rest_(file), limits_(limits) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp said) {
          static_cast<PngReading*>(png_get_error_ptr(png))->said_.assign(said);
          png_longjmp(png, 1);
        },
        [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngReading() { png_destroy_read_struct(&png_, &info_, nullptr); }

  absl::StatusOr<Decoded> Decode() {
    if (info_ == nullptr) return OutOfMemory();
    // Apple's variant is no PNG to libpng.
    if (rest_.size() > 16 && rest_.substr(12, 4) == "CgBI")
      return Unsupported("it is a PNG of Apple's CgBI kind");
    if (!Run()) {
      if (said_ == kShort) return Truncated();
      if (said_.find("memory") != std::string::npos) return OutOfMemory();
      return Damaged(said_);
    }
    if (!refusal_.ok()) return refusal_;
    decoded_.raster = shrinker_->Finish();
    return std::move(decoded_);
  }

 private:
  bool Run() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep to, size_t size) {
      absl::string_view& rest = static_cast<PngReading*>(png_get_io_ptr(png))->rest_;
      if (rest.size() < size) png_error(png, kShort);
      memcpy(to, rest.data(), size);
      rest.remove_prefix(size);
    });
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);
    png_set_chunk_malloc_max(png_, 8 << 20);
    png_set_chunk_cache_max(png_, 100);
    png_read_info(png_, info_);
    width_ = png_get_image_width(png_, info_);
    height_ = png_get_image_height(png_, info_);
    refusal_ = CheckSize(width_, height_, 1, limits_);
    if (!refusal_.ok()) return true;
    ReadProfile();
    png_set_expand(png_);
    png_set_scale_16(png_);
    const bool interlaced = png_get_interlace_type(png_, info_) == PNG_INTERLACE_ADAM7;
    png_read_update_info(png_, info_);
    layout_ = static_cast<Shrinker::Layout>(png_get_channels(png_, info_));
    Prepare();
    if (interlaced) {
      for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
        const uint32_t columns = PNG_PASS_COLS(width_, pass), rows = PNG_PASS_ROWS(height_, pass);
        if (columns == 0) continue;
        for (uint32_t row = 0; row < rows; ++row) {
          png_read_row(png_, row_.data(), nullptr);
          shrinker_->Add(row_.data(), layout_, PNG_ROW_FROM_PASS_ROW(row, pass), columns,
                         PNG_PASS_START_COL(pass), 1u << PNG_PASS_COL_SHIFT(pass));
        }
      }
    } else {
      for (uint32_t y = 0; y < height_; ++y) {
        png_read_row(png_, row_.data(), nullptr);
        shrinker_->Add(row_.data(), layout_, y, width_);
      }
    }
    png_read_end(png_, nullptr);
    return true;
  }

  void Prepare() {
    row_.resize(png_get_rowbytes(png_, info_));
    shrinker_.emplace(width_, height_);
  }

  void ReadProfile() {
    png_charp name;
    png_bytep profile;
    png_uint_32 length;
    int compression;
    if (png_get_iCCP(png_, info_, &name, &compression, &profile, &length) != PNG_INFO_iCCP) return;
    decoded_.icc.assign(reinterpret_cast<const char*>(profile), length);
  }

  absl::string_view rest_;
  const DecodeLimits& limits_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  uint32_t width_ = 0, height_ = 0;
  Shrinker::Layout layout_ = Shrinker::Layout::kRgb;
  std::string said_;
  absl::Status refusal_;
  std::optional<Shrinker> shrinker_;
  std::vector<uint8_t> row_;
  Decoded decoded_;
};

}  // namespace

absl::StatusOr<Decoded> DecodePng(absl::string_view file, const DecodeLimits& limits) {
  return PngReading(file, limits).Decode();
}

}  // namespace imgfleet::decoder
