// JPEG 2000 by OpenJPEG: boxed (JP2) and bare codestreams.
#include <openjpeg.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "decoder/codecs.h"
#include "decoder/shrinker.h"

namespace imgfleet::decoder {
namespace {

// OpenJPEG's codecs and streams are both void pointers to the compiler.
template <auto kDestroy>
struct Destroy {
  void operator()(auto* made) const { kDestroy(made); }
};
using Codec = std::unique_ptr<opj_codec_t, Destroy<opj_destroy_codec>>;
using Stream = std::unique_ptr<opj_stream_t, Destroy<opj_stream_destroy>>;
using Image = std::unique_ptr<opj_image_t, Destroy<opj_image_destroy>>;

struct Memory {
  absl::string_view file;
  size_t at = 0;
  bool beyond = false;
  std::string said;
};

OPJ_SIZE_T Read(void* to, OPJ_SIZE_T size, void* user) {
  auto* memory = static_cast<Memory*>(user);
  const size_t count = std::min<size_t>(size, memory->file.size() - memory->at);
  if (count == 0) {
    memory->beyond = true;
    return static_cast<OPJ_SIZE_T>(-1);
  }
  memcpy(to, memory->file.data() + memory->at, count);
  memory->at += count;
  return count;
}

OPJ_OFF_T Skip(OPJ_OFF_T size, void* user) {
  auto* memory = static_cast<Memory*>(user);
  if (size < 0) return -1;
  const size_t count = std::min<uint64_t>(size, memory->file.size() - memory->at);
  memory->beyond = memory->beyond || count < static_cast<uint64_t>(size);
  memory->at += count;
  return static_cast<OPJ_OFF_T>(count);
}

OPJ_BOOL Seek(OPJ_OFF_T to, void* user) {
  auto* memory = static_cast<Memory*>(user);
  if (to < 0 || static_cast<uint64_t>(to) > memory->file.size()) return OPJ_FALSE;
  memory->at = to;
  return OPJ_TRUE;
}

Stream StreamOf(Memory* memory) {
  Stream stream(opj_stream_create(64 << 10, OPJ_TRUE));
  if (stream == nullptr) return stream;
  opj_stream_set_user_data(stream.get(), memory, nullptr);
  opj_stream_set_user_data_length(stream.get(), memory->file.size());
  opj_stream_set_read_function(stream.get(), Read);
  opj_stream_set_skip_function(stream.get(), Skip);
  opj_stream_set_seek_function(stream.get(), Seek);
  return stream;
}

void Keep(const char* said, void* user) {
  std::string text = said;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  static_cast<Memory*>(user)->said = std::move(text);
}

// A component at a pixel of the image, in eight bits. Its own grid may be coarser.
uint8_t Sample(const opj_image_comp_t& component, uint32_t x, uint32_t y) {
  const uint32_t column = std::min(x / component.dx, component.w - 1),
                 row = std::min(y / component.dy, component.h - 1);
  int64_t value = component.data[size_t{row} * component.w + column];
  if (component.sgnd) value += int64_t{1} << (component.prec - 1);
  const int64_t most = (int64_t{1} << component.prec) - 1;
  return static_cast<uint8_t>(std::clamp<int64_t>(value, 0, most) * 255 / most);
}

uint8_t Clamped(double value) { return static_cast<uint8_t>(std::clamp(value + 0.5, 0.0, 255.0)); }

absl::StatusOr<Raster> ToRaster(const opj_image_t& image) {
  const uint32_t width = image.x1 - image.x0, height = image.y1 - image.y0;
  for (uint32_t i = 0; i < image.numcomps; ++i) {
    const opj_image_comp_t& component = image.comps[i];
    if (component.data == nullptr || component.w == 0 || component.h == 0)
      return Damaged("a component has no samples");
    if (component.prec < 1 || component.prec > 31) return Unsupported("its samples have more than 31 bits");
  }
  // Gray, gray and alpha, RGB, RGBA; of more components the first three.
  const uint32_t samples = image.numcomps > 4 ? 3 : image.numcomps;
  const bool ycc = samples >= 3 && image.color_space == OPJ_CLRSPC_SYCC;
  Shrinker shrinker(width, height);
  std::vector<uint8_t> row(size_t{width} * samples);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      uint8_t* const pixel = &row[size_t{x} * samples];
      for (uint32_t i = 0; i < samples; ++i) pixel[i] = Sample(image.comps[i], x, y);
      if (!ycc) continue;
      const double luma = pixel[0], blue = pixel[1] - 128.0, red = pixel[2] - 128.0;
      pixel[0] = Clamped(luma + 1.402 * red);
      pixel[1] = Clamped(luma - 0.344136 * blue - 0.714136 * red);
      pixel[2] = Clamped(luma + 1.772 * blue);
    }
    shrinker.Add(row.data(), static_cast<Shrinker::Layout>(samples), y, width);
  }
  return shrinker.Finish();
}

absl::StatusOr<Decoded> DecodeOpenjpeg(OPJ_CODEC_FORMAT kind, absl::string_view file,
                                       const DecodeLimits& limits) {
  Memory memory{file, 0, false, "OpenJPEG gave up"};
  const auto failure = [&memory] { return memory.beyond ? Truncated(memory.said) : Damaged(memory.said); };
  const Codec codec(opj_create_decompress(kind));
  const Stream stream = StreamOf(&memory);
  if (codec == nullptr || stream == nullptr) return OutOfMemory();
  opj_set_error_handler(codec.get(), Keep, &memory);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  if (!opj_setup_decoder(codec.get(), &parameters) || !opj_decoder_set_strict_mode(codec.get(), OPJ_TRUE))
    return failure();
  opj_image_t* made = nullptr;
  const bool has_header = opj_read_header(stream.get(), codec.get(), &made);
  const Image image(made);
  if (!has_header || image == nullptr) return failure();
  if (image->x1 <= image->x0 || image->y1 <= image->y0 || image->numcomps == 0)
    return Damaged("it has no pixels");
  // Each component as 32 bits a sample, and once more while it is decoded.
  if (absl::Status size =
          CheckSize(image->x1 - image->x0, image->y1 - image->y0, uint64_t{8} * image->numcomps, limits);
      !size.ok()) {
    return size;
  }
  if (!opj_decode(codec.get(), stream.get(), image.get()) || !opj_end_decompress(codec.get(), stream.get()))
    return failure();
  if (image->color_space == OPJ_CLRSPC_CMYK) return Unsupported("its colours are inks (CMYK)");
  absl::StatusOr<Raster> raster = ToRaster(*image);
  if (!raster.ok()) return raster.status();
  Decoded decoded;
  decoded.raster = *std::move(raster);
  if (image->icc_profile_buf != nullptr)
    decoded.icc.assign(reinterpret_cast<const char*>(image->icc_profile_buf), image->icc_profile_len);
  return decoded;
}

}  // namespace

absl::StatusOr<Decoded> DecodeJp2(absl::string_view file, const DecodeLimits& limits) {
  return DecodeOpenjpeg(OPJ_CODEC_JP2, file, limits);
}

absl::StatusOr<Decoded> DecodeJ2k(absl::string_view file, const DecodeLimits& limits) {
  return DecodeOpenjpeg(OPJ_CODEC_J2K, file, limits);
}

}  // namespace imgfleet::decoder
