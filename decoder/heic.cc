// HEIC by libheif, which turns and crops it as its properties say.
#include <libheif/heif.h>

#include <algorithm>
#include <memory>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

// libheif asks libde265 for a thread of its own and then waits for what that is to do. This stands in for the library's
// function: told of no thread, libde265 decodes in the caller's.
extern "C" int de265_start_worker_threads(void* /*decoder*/, int /*threads*/) { return 0; }

namespace imgfleet::decoder {
namespace {

struct Free {
  void operator()(heif_context* context) const { heif_context_free(context); }
  void operator()(heif_image_handle* handle) const { heif_image_handle_release(handle); }
  void operator()(heif_image* image) const { heif_image_release(image); }
  void operator()(heif_decoding_options* options) const { heif_decoding_options_free(options); }
};

absl::Status Failure(const heif_error& error) {
  switch (error.code) {
    case heif_error_Memory_allocation_error:
      return OutOfMemory();
    case heif_error_Unsupported_filetype:
    case heif_error_Unsupported_feature:
      return Unsupported(error.message);
    default:
      return error.subcode == heif_suberror_End_of_data ? Truncated(error.message) : Damaged(error.message);
  }
}

}  // namespace

absl::StatusOr<Decoded> DecodeHeic(absl::string_view file, const DecodeLimits& limits) {
  const std::unique_ptr<heif_context, Free> context(heif_context_alloc());
  if (context == nullptr) return OutOfMemory();
  heif_context_set_max_decoding_threads(context.get(), 0);
  heif_error error =
      heif_context_read_from_memory_without_copy(context.get(), file.data(), file.size(), nullptr);
  if (error.code != heif_error_Ok) return Failure(error);
  heif_image_handle* primary = nullptr;
  error = heif_context_get_primary_image_handle(context.get(), &primary);
  const std::unique_ptr<heif_image_handle, Free> handle(primary);
  if (error.code != heif_error_Ok) return Failure(error);
  // Planes of the codec, the image's own, its turned copy, and its colours.
  const int bits = heif_image_handle_get_luma_bits_per_pixel(handle.get());
  const uint64_t bytes = (bits > 8 ? 2 : 1) * 3 + 4;
  // What is decoded, before any of it is cropped away.
  if (absl::Status size =
          CheckSize(std::max(heif_image_handle_get_ispe_width(handle.get()), 0),
                    std::max(heif_image_handle_get_ispe_height(handle.get()), 0), bytes, limits);
      !size.ok()) {
    return size;
  }
  const std::unique_ptr<heif_decoding_options, Free> options(heif_decoding_options_alloc());
  if (options == nullptr) return OutOfMemory();
  options->convert_hdr_to_8bit = 1;
  options->strict_decoding = 1;
  heif_image* made = nullptr;
  error = heif_decode_image(handle.get(), &made, heif_colorspace_RGB, heif_chroma_interleaved_RGBA,
                            options.get());
  const std::unique_ptr<heif_image, Free> image(made);
  if (error.code != heif_error_Ok) return Failure(error);

  const int width = heif_image_get_width(image.get(), heif_channel_interleaved);
  const int height = heif_image_get_height(image.get(), heif_channel_interleaved);
  int stride = 0;
  const uint8_t* const pixels = heif_image_get_plane_readonly(image.get(), heif_channel_interleaved, &stride);
  if (pixels == nullptr || width <= 0 || height <= 0) return Damaged("libheif gave no pixels");
  Shrinker shrinker(width, height);
  for (int y = 0; y < height; ++y)
    shrinker.Add(pixels + size_t(y) * stride, Shrinker::Layout::kRgba, y, width);
  Decoded decoded;
  decoded.raster = shrinker.Finish();
  decoded.oriented = true;
  if (const size_t length = heif_image_handle_get_raw_color_profile_size(handle.get()); length > 0) {
    const heif_color_profile_type type = heif_image_handle_get_color_profile_type(handle.get());
    if (type == heif_color_profile_type_prof || type == heif_color_profile_type_rICC) {
      decoded.icc.resize(length);
      if (heif_image_handle_get_raw_color_profile(handle.get(), decoded.icc.data()).code != heif_error_Ok)
        decoded.icc.clear();
    }
  }
  return decoded;
}

}  // namespace imgfleet::decoder
