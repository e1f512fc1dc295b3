// JPEG XL by libjxl, on one thread, its pixels taken as they come; it turns the image itself.
#include <jxl/decode.h>

#include <memory>
#include <optional>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

struct Destroy {
  void operator()(JxlDecoder* decoder) const { JxlDecoderDestroy(decoder); }
};

constexpr JxlPixelFormat kPixels = {4, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};

std::string ProfileOf(const JxlDecoder* decoder) {
  size_t size = 0;
  if (JxlDecoderGetICCProfileSize(decoder, &kPixels, JXL_COLOR_PROFILE_TARGET_DATA, &size) != JXL_DEC_SUCCESS)
    return "";
  std::string profile(size, '\0');
  auto* const to = reinterpret_cast<uint8_t*>(profile.data());
  if (JxlDecoderGetColorAsICCProfile(decoder, &kPixels, JXL_COLOR_PROFILE_TARGET_DATA, to, size) !=
      JXL_DEC_SUCCESS)
    return "";
  return profile;
}

}  // namespace

absl::StatusOr<Decoded> DecodeJxl(absl::string_view file, const DecodeLimits& limits) {
  const std::unique_ptr<JxlDecoder, Destroy> owned(JxlDecoderCreate(nullptr));
  JxlDecoder* const decoder = owned.get();
  if (decoder == nullptr) return OutOfMemory();
  if (JxlDecoderSubscribeEvents(decoder, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_FULL_IMAGE) !=
          JXL_DEC_SUCCESS ||
      JxlDecoderSetInput(decoder, BytesOf(file), file.size()) != JXL_DEC_SUCCESS) {
    return Damaged("libjxl refuses it");
  }
  JxlDecoderCloseInput(decoder);
  Decoded decoded;
  decoded.oriented = true;
  std::optional<Shrinker> shrinker;
  while (true) {
    switch (JxlDecoderProcessInput(decoder)) {
      case JXL_DEC_BASIC_INFO: {
        JxlBasicInfo info;
        if (JxlDecoderGetBasicInfo(decoder, &info) != JXL_DEC_SUCCESS) return Damaged("it has no header");
        // libjxl works on planes of 32 bits, most of them twice where the file is modular. What it cannot have it dies of.
        const uint64_t bytes = 19 + uint64_t{8} * info.num_extra_channels;
        if (absl::Status size = CheckSize(info.xsize, info.ysize, bytes, limits); !size.ok()) return size;
        shrinker.emplace(info.xsize, info.ysize);
        break;
      }
      case JXL_DEC_COLOR_ENCODING:
        decoded.icc = ProfileOf(decoder);
        break;
      case JXL_DEC_NEED_IMAGE_OUT_BUFFER: {
        const auto add = [](void* to, size_t x, size_t y, size_t count, const void* pixels) {
          static_cast<Shrinker*>(to)->Add(static_cast<const uint8_t*>(pixels), Shrinker::Layout::kRgba,
                                          static_cast<uint32_t>(y), static_cast<uint32_t>(count),
                                          static_cast<uint32_t>(x));
        };
        if (!shrinker.has_value() ||
            JxlDecoderSetImageOutCallback(decoder, &kPixels, add, &*shrinker) != JXL_DEC_SUCCESS) {
          return Damaged("libjxl gives no pixels of it");
        }
        break;
      }
      case JXL_DEC_FULL_IMAGE:  // Of an animation the first frame.
      case JXL_DEC_SUCCESS:
        if (!shrinker.has_value()) return Damaged("it holds no image");
        decoded.raster = shrinker->Finish();
        return decoded;
      case JXL_DEC_NEED_MORE_INPUT:
        return Truncated();
      default:
        return Damaged("libjxl cannot read its codestream");
    }
  }
}

}  // namespace imgfleet::decoder
