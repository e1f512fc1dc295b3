#include "decoder/codec.h"

#include <new>

#include "absl/strings/str_cat.h"
#include "decoder/codecs.h"
#include "decoder/samples.h"

namespace imgfleet::decoder {
namespace {

absl::StatusOr<Decoded> Dispatch(Format format, absl::string_view file, const DecodeLimits& limits) {
  switch (format) {
    case Format::kJpeg:
      return DecodeJpeg(file, limits);
    case Format::kPng:
      return DecodePng(file, limits);
    case Format::kGif:
      return DecodeGif(file, limits);
    case Format::kWebp:
      return DecodeWebp(file, limits);
    case Format::kAvif:
      return DecodeAvif(file, limits);
    case Format::kHeic:
      return DecodeHeic(file, limits);
    case Format::kTiff:
      return DecodeTiff(file, limits);
    case Format::kJxl:
      return DecodeJxl(file, limits);
    case Format::kJp2:
      return DecodeJp2(file, limits);
    case Format::kJ2k:
      return DecodeJ2k(file, limits);
  }
  return Unsupported("no such format");
}

}  // namespace

absl::StatusOr<Decoded> Decode(Format format, absl::string_view file, const DecodeLimits& limits) {
  try {
    return Dispatch(format, file, limits);
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

void WarmUp() {
  for (const Sample& sample : Samples()) (void)Decode(sample.format, sample.file, DecodeLimits());
}

absl::Status CheckSize(uint64_t width, uint64_t height, uint64_t bytes_per_pixel,
                       const DecodeLimits& limits) {
  if (width == 0 || height == 0) return Damaged("the image has no pixels");
  if (width > limits.pixels / height) {
    return absl::ResourceExhaustedError(absl::StrCat("the image has ", width, " x ", height,
                                                     " pixels; at most ", limits.pixels, " are decoded"));
  }
  if (width * height > limits.bytes / bytes_per_pixel) {
    return absl::ResourceExhaustedError(
        absl::StrCat("decoding its ", width, " x ", height, " pixels takes about ",
                     (width * height * bytes_per_pixel) >> 20, " MiB of memory; at most ", limits.bytes >> 20,
                     " MiB are given to one image"));
  }
  return absl::OkStatus();
}

absl::Status Truncated(absl::string_view said) {
  return absl::OutOfRangeError(
      absl::StrCat("the file ends before its image does", said.empty() ? "" : ": ", said));
}

absl::Status Damaged(absl::string_view said) {
  return absl::DataLossError(absl::StrCat("the image is damaged: ", said));
}

absl::Status Unsupported(absl::string_view said) {
  return absl::UnimplementedError(absl::StrCat("the image cannot be decoded: ", said));
}

absl::Status OutOfMemory() {
  return absl::ResourceExhaustedError("decoding the image takes more memory than the decoder is given");
}

}  // namespace imgfleet::decoder
