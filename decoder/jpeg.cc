// JPEG by libjpeg-turbo. It is scaled in the DCT by a power of two, to no less than the raster's largest side.
#include <setjmp.h>
#include <stdio.h>
// Needs stdio before it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

// Each scan may go over all of the image: real ones have about ten.
constexpr int kMaxScans = 500;

// Warnings that touch no pixel.
bool IsHarmless(int warning) {
  return warning == JWRN_EXTRANEOUS_DATA || warning == JWRN_ADOBE_XFORM || warning == JWRN_JFIF_MAJOR;
}

bool IsUnsupported(int error) {
  return error == JERR_BAD_PRECISION || error == JERR_SOF_UNSUPPORTED || error == JERR_CONVERSION_NOTIMPL ||
         error == JERR_ARITH_NOTIMPL || error == JERR_NOT_COMPILED || error == JERR_CCIR601_NOTIMPL ||
         error == JERR_FRACT_SAMPLE_NOTIMPL || error == JERR_COMPONENT_COUNT ||
         error == JERR_BAD_J_COLORSPACE;
}

// libjpeg leaves by longjmp: everything that owns memory is a member, and nothing in Run.
class JpegReading {
 public:
  JpegReading(absl::string_view file, const DecodeLimits& limits) : file_(file), limits_(limits) {
    jpeg_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr jpeg) { longjmp(Self(jpeg)->leave_, 1); };
    errors_.emit_message = [](j_common_ptr jpeg, int level) {
      if (level < 0) Self(jpeg)->Warn();
    };
    errors_.output_message = [](j_common_ptr) {};
    jpeg_.client_data = this;
  }
  ~JpegReading() { jpeg_destroy_decompress(&jpeg_); }

  absl::StatusOr<Decoded> Decode() {
    if (!Run()) return Failure();
    if (!refusal_.ok()) return refusal_;
    if (warning_ == JWRN_JPEG_EOF || (warning_ == JWRN_HIT_MARKER && EndsEarly())) return Truncated();
    if (warning_ != 0) return Damaged(warning_text_);
    decoded_.raster = shrinker_->Finish();
    return std::move(decoded_);
  }

 private:
  static JpegReading* Self(j_common_ptr jpeg) { return static_cast<JpegReading*>(jpeg->client_data); }

  void Warn() {
    if (warning_ != 0 || IsHarmless(errors_.msg_code)) return;
    warning_ = errors_.msg_code;
    errors_.format_message(reinterpret_cast<j_common_ptr>(&jpeg_), warning_text_);
  }

  // False after an error.
  bool Run() {
    if (setjmp(leave_) != 0) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_mem_src(&jpeg_, BytesOf(file_), file_.size());
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 2, 0xffff);
    jpeg_read_header(&jpeg_, TRUE);
    // Of an image in several scans, progressive or not, all coefficients are held, two bytes each.
    const bool several_scans = jpeg_has_multiple_scans(&jpeg_);
    refusal_ = CheckSize(jpeg_.image_width, jpeg_.image_height, several_scans ? 2 * jpeg_.num_components : 1,
                         limits_);
    if (!refusal_.ok()) return true;
    ReadProfile();
    Choose();
    if (several_scans) WatchScans();
    jpeg_start_decompress(&jpeg_);
    PrepareRows();
    uint8_t* row = row_.data();
    while (jpeg_.output_scanline < jpeg_.output_height) {
      const uint32_t y = jpeg_.output_scanline;
      if (jpeg_read_scanlines(&jpeg_, &row, 1) == 1) AddRow(y);
    }
    jpeg_finish_decompress(&jpeg_);
    return true;
  }

  void Choose() {
    const uint32_t side = std::max(jpeg_.image_width, jpeg_.image_height);
    jpeg_.scale_denom = 8;
    for (jpeg_.scale_num = 1;
         jpeg_.scale_num < 8 && uint64_t{side} * jpeg_.scale_num / 8 < Raster::kMaxSide;) {
      jpeg_.scale_num *= 2;
    }
    if (jpeg_.jpeg_color_space == JCS_CMYK || jpeg_.jpeg_color_space == JCS_YCCK) {
      jpeg_.out_color_space = JCS_CMYK;
    } else if (jpeg_.jpeg_color_space != JCS_GRAYSCALE) {
      jpeg_.out_color_space = JCS_RGB;
    }
  }

  void WatchScans() {
    progress_.progress_monitor = [](j_common_ptr jpeg) {
      auto* reading = Self(jpeg);
      if (reading->jpeg_.input_scan_number <= kMaxScans) return;
      reading->refusal_ = Damaged("it has more scans than any real image");
      longjmp(reading->leave_, 1);
    };
    jpeg_.progress = &progress_;
  }

  void PrepareRows() {
    shrinker_.emplace(jpeg_.output_width, jpeg_.output_height);
    row_.resize(size_t{jpeg_.output_width} * jpeg_.output_components);
  }

  void AddRow(uint32_t y) {
    const uint32_t width = jpeg_.output_width;
    if (jpeg_.out_color_space == JCS_CMYK) ToRgb();
    shrinker_->Add(row_.data(),
                   jpeg_.out_color_space == JCS_GRAYSCALE ? Shrinker::Layout::kGray : Shrinker::Layout::kRgb,
                   y, width);
  }

  // In place. What Adobe writes is inverted.
  void ToRgb() {
    const bool inverted = jpeg_.saw_Adobe_marker;
    for (size_t from = 0, to = 0; from < row_.size(); from += 4, to += 3) {
      const uint32_t light = inverted ? row_[from + 3] : 255 - row_[from + 3];
      for (int i = 0; i < 3; ++i) {
        const uint32_t ink = inverted ? row_[from + i] : 255 - row_[from + i];
        row_[to + i] = static_cast<uint8_t>(ink * light / 255);
      }
    }
  }

  void ReadProfile() {
    JOCTET* profile = nullptr;
    unsigned int length = 0;
    if (!jpeg_read_icc_profile(&jpeg_, &profile, &length)) return;
    // Of CMYK the raster keeps no inks that the profile could speak of.
    if (jpeg_.jpeg_color_space != JCS_CMYK && jpeg_.jpeg_color_space != JCS_YCCK)
      decoded_.icc.assign(reinterpret_cast<const char*>(profile), length);
    free(profile);
  }

  // Whether the data breaks off at the file's end, rather than at a marker in its middle.
  bool EndsEarly() const { return jpeg_.src == nullptr || jpeg_.src->bytes_in_buffer <= 2; }

  absl::Status Failure() {
    if (!refusal_.ok()) return refusal_;
    char text[JMSG_LENGTH_MAX];
    errors_.format_message(reinterpret_cast<j_common_ptr>(&jpeg_), text);
    if (errors_.msg_code == JERR_OUT_OF_MEMORY) return OutOfMemory();
    if (IsUnsupported(errors_.msg_code)) return Unsupported(text);
    if (errors_.msg_code == JERR_INPUT_EOF || warning_ == JWRN_JPEG_EOF) return Truncated(text);
    return Damaged(text);
  }

  const absl::string_view file_;
  const DecodeLimits& limits_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  jmp_buf leave_;
  int warning_ = 0;  // The first.
  char warning_text_[JMSG_LENGTH_MAX] = {};
  absl::Status refusal_;
  std::optional<Shrinker> shrinker_;
  std::vector<uint8_t> row_;
  Decoded decoded_;
};

}  // namespace

absl::StatusOr<Decoded> DecodeJpeg(absl::string_view file, const DecodeLimits& limits) {
  return JpegReading(file, limits).Decode();
}

}  // namespace imgfleet::decoder
