#include "worker/image/probe.h"

#include "worker/image/detect.h"
#include "worker/image/source.h"

namespace imgfleet::image {
namespace {
struct Names {
  absl::string_view name;
  absl::string_view mime;
};
constexpr Names kNames[] = {
    {"unknown", "application/octet-stream"},
    {"jpeg", "image/jpeg"},
    {"png", "image/png"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"bmp", "image/bmp"},
    {"ico", "image/vnd.microsoft.icon"},
    {"cur", "image/vnd.microsoft.icon"},
    {"svg", "image/svg+xml"},
    {"avif", "image/avif"},
    {"heic", "image/heic"},
    {"tiff", "image/tiff"},
    {"jxl", "image/jxl"},
    {"jp2", "image/jp2"},
    {"j2k", "image/x-jp2-codestream"},
    {"psd", "image/vnd.adobe.photoshop"},
    {"qoi", "image/qoi"},
    {"dds", "image/vnd-ms.dds"},
    {"icns", "image/x-icns"},
    {"tga", "image/x-tga"},
    {"pnm", "image/x-portable-anymap"},
    {"hdr", "image/vnd.radiance"},
    {"pcx", "image/vnd.zbrush.pcx"},
};
static_assert(sizeof(kNames) / sizeof(kNames[0]) == static_cast<size_t>(Format::kPcx) + 1);
}  // namespace

absl::string_view FormatName(Format format) { return kNames[static_cast<size_t>(format)].name; }
absl::string_view MimeType(Format format) { return kNames[static_cast<size_t>(format)].mime; }

ProbeResult Probe(const Bytes& bytes) {
  Source source(bytes);
  ProbeResult result = DetectAndRead(source);
  // A reader that drew a conclusion from bytes that are not at hand has none.
  const bool concluded = result.status != ProbeStatus::kNeedMore && result.status != ProbeStatus::kTruncated;
  if (concluded && source.missed()) return source.Missing(result.info.format, source.missed_offset(), 1);
  return result;
}

}  // namespace imgfleet::image
