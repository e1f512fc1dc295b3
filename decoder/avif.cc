// AVIF by libavif, on one thread. Its colours are converted some rows at a time.
#include <avif/avif.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

struct Destroy {
  void operator()(avifDecoder* decoder) const { avifDecoderDestroy(decoder); }
  void operator()(avifImage* image) const { avifImageDestroy(image); }
};

absl::Status Failure(avifResult result, const avifDecoder& decoder) {
  switch (result) {
    case AVIF_RESULT_OUT_OF_MEMORY:
      return OutOfMemory();
    case AVIF_RESULT_TRUNCATED_DATA:
    case AVIF_RESULT_WAITING_ON_IO:
      return Truncated();
    case AVIF_RESULT_NO_CODEC_AVAILABLE:
    case AVIF_RESULT_NOT_IMPLEMENTED:
    case AVIF_RESULT_UNSUPPORTED_DEPTH:
      return Unsupported(avifResultToString(result));
    default:
      return Damaged(decoder.diag.error[0] != '\0' ? decoder.diag.error : avifResultToString(result));
  }
}

// An even number, as subsampled chroma needs it.
constexpr uint32_t kRowsAtATime = 64;

absl::StatusOr<Raster> ToRaster(const avifImage& image, const avifDecoder& decoder) {
  Shrinker shrinker(image.width, image.height);
  std::vector<uint8_t> pixels(size_t{image.width} * kRowsAtATime * 4);
  const std::unique_ptr<avifImage, Destroy> rows(avifImageCreateEmpty());
  if (rows == nullptr) return OutOfMemory();
  for (uint32_t y = 0; y < image.height; y += kRowsAtATime) {
    const avifCropRect part = {0, y, image.width, std::min(kRowsAtATime, image.height - y)};
    if (const avifResult result = avifImageSetViewRect(rows.get(), &image, &part); result != AVIF_RESULT_OK)
      return Failure(result, decoder);
    avifRGBImage rgb;
    avifRGBImageSetDefaults(&rgb, rows.get());
    rgb.format = AVIF_RGB_FORMAT_RGBA;
    rgb.depth = 8;
    rgb.pixels = pixels.data();
    rgb.rowBytes = image.width * 4;
    if (const avifResult result = avifImageYUVToRGB(rows.get(), &rgb); result != AVIF_RESULT_OK)
      return Failure(result, decoder);
    for (uint32_t i = 0; i < part.height; ++i)
      shrinker.Add(&pixels[size_t{i} * rgb.rowBytes], Shrinker::Layout::kRgba, y + i, image.width);
  }
  return shrinker.Finish();
}

}  // namespace

absl::StatusOr<Decoded> DecodeAvif(absl::string_view file, const DecodeLimits& limits) {
  const std::unique_ptr<avifDecoder, Destroy> decoder(avifDecoderCreate());
  if (decoder == nullptr) return OutOfMemory();
  decoder->maxThreads = 1;
  decoder->ignoreExif = AVIF_TRUE;
  decoder->ignoreXMP = AVIF_TRUE;
  decoder->strictFlags = AVIF_STRICT_DISABLED;
  decoder->imageDimensionLimit = 0;
  avifResult result = avifDecoderSetIOMemory(decoder.get(), BytesOf(file), file.size());
  if (result == AVIF_RESULT_OK) result = avifDecoderParse(decoder.get());
  if (result != AVIF_RESULT_OK) return Failure(result, *decoder);
  const avifImage& image = *decoder->image;
  // Planes of brightness, chroma and alpha, with the codec's own copies of the first two.
  const uint64_t bytes = (image.depth > 8 ? 2 : 1) * 6;
  if (absl::Status size = CheckSize(image.width, image.height, bytes, limits); !size.ok()) return size;
  result = avifDecoderNextImage(decoder.get());
  if (result != AVIF_RESULT_OK) return Failure(result, *decoder);
  absl::StatusOr<Raster> raster = ToRaster(image, *decoder);
  if (!raster.ok()) return raster.status();
  Decoded decoded;
  decoded.raster = *std::move(raster);
  if (image.icc.size > 0) decoded.icc.assign(reinterpret_cast<const char*>(image.icc.data), image.icc.size);
  return decoded;
}

}  // namespace imgfleet::decoder
