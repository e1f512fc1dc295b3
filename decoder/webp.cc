// WebP by libwebp, scaled while it is decoded. Of an animation the first frame, on a transparent canvas.
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

struct DeleteDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

absl::Status Failure(VP8StatusCode code) {
  switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return OutOfMemory();
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return Unsupported("libwebp does not know this kind of WebP");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return Truncated();
    default:
      return Damaged("libwebp cannot read its bitstream");
  }
}

uint32_t Scaled(uint32_t side, uint32_t by) { return side / by + (side % by != 0); }

// One still image, `x` and `y` into a canvas; the rest of that is transparent.
struct Place {
  uint32_t x = 0, y = 0, canvas_width = 0, canvas_height = 0;
};

absl::StatusOr<Raster> DecodeStill(absl::string_view file, const Place& place, const DecodeLimits& limits) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return Unsupported("libwebp is of another version than its headers");
  if (const VP8StatusCode code = WebPGetFeatures(BytesOf(file), file.size(), &config.input);
      code != VP8_STATUS_OK) {
    return Failure(code);
  }
  const uint32_t width = config.input.width, height = config.input.height;
  // A lossless image is held whole, of a lossy one its alpha.
  const bool lossless = config.input.format == 2;
  if (absl::Status size = CheckSize(width, height, lossless ? 5 : 1, limits); !size.ok()) return size;
  const uint32_t canvas_width = std::max(place.canvas_width, width);
  const uint32_t canvas_height = std::max(place.canvas_height, height);
  if (absl::Status size = CheckSize(canvas_width, canvas_height, 1, limits); !size.ok()) return size;

  const uint32_t by = Scaled(std::max(canvas_width, canvas_height), Raster::kMaxSide);
  const uint32_t columns = Scaled(width, by), rows = Scaled(height, by);
  if (by > 1) {
    config.options.use_scaling = 1;
    config.options.scaled_width = static_cast<int>(columns);
    config.options.scaled_height = static_cast<int>(rows);
  }
  std::vector<uint8_t> pixels(size_t{columns} * rows * 4);
  config.output.colorspace = MODE_RGBA;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {pixels.data(), static_cast<int>(columns * 4), pixels.size()};
  const VP8StatusCode code = WebPDecode(BytesOf(file), file.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (code != VP8_STATUS_OK) return Failure(code);

  const uint32_t wide = Scaled(canvas_width, by), high = Scaled(canvas_height, by);
  const uint32_t left = place.x / by, top = place.y / by;
  Shrinker shrinker(wide, high);
  const std::vector<uint8_t> nothing(size_t{wide} * 4);
  for (uint32_t y = 0; y < high; ++y) {
    const bool inside = y >= top && y - top < rows;
    const uint32_t from = inside ? std::min(left, wide) : wide,
                   to = inside ? std::min(left + columns, wide) : wide;
    shrinker.Add(nothing.data(), Shrinker::Layout::kRgba, y, from);
    if (inside)
      shrinker.Add(&pixels[size_t{y - top} * columns * 4], Shrinker::Layout::kRgba, y, to - from, from);
    shrinker.Add(nothing.data(), Shrinker::Layout::kRgba, y, wide - to, to);
  }
  return shrinker.Finish();
}

}  // namespace

absl::StatusOr<Decoded> DecodeWebp(absl::string_view file, const DecodeLimits& limits) {
  WebPBitstreamFeatures features;
  if (const VP8StatusCode code = WebPGetFeatures(BytesOf(file), file.size(), &features);
      code != VP8_STATUS_OK)
    return Failure(code);
  const WebPData data = {BytesOf(file), file.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  const std::unique_ptr<WebPDemuxer, DeleteDemuxer> demuxer(WebPDemuxPartial(&data, &state));
  Decoded decoded;
  WebPChunkIterator chunk;
  if (demuxer != nullptr && WebPDemuxGetChunk(demuxer.get(), "ICCP", 1, &chunk)) {
    decoded.icc.assign(reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  Place place;
  absl::string_view still = file;
  if (features.has_animation) {
    WebPIterator frame;
    if (demuxer == nullptr || !WebPDemuxGetFrame(demuxer.get(), 1, &frame)) {
      return state == WEBP_DEMUX_PARSE_ERROR ? Damaged("its chunks contradict each other") : Truncated();
    }
    still = absl::string_view(reinterpret_cast<const char*>(frame.fragment.bytes), frame.fragment.size);
    place = {static_cast<uint32_t>(frame.x_offset), static_cast<uint32_t>(frame.y_offset),
             static_cast<uint32_t>(features.width), static_cast<uint32_t>(features.height)};
    WebPDemuxReleaseIterator(&frame);
  }
  absl::StatusOr<Raster> raster = DecodeStill(still, place, limits);
  if (!raster.ok()) return raster.status();
  decoded.raster = *std::move(raster);
  return decoded;
}

}  // namespace imgfleet::decoder
