#include "worker/task/content_type.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace imgfleet::task {
namespace {

constexpr size_t kMostAliases = 10;

// Types in use for a format besides its own: from the IANA registry, shared-mime-info, and what servers send.
struct Aliases {
  const char* format;
  const char* types[kMostAliases];
};
constexpr Aliases kAliases[] = {
    {"jpeg",
     {"image/jpg", "image/pjpeg", "image/jpe", "image/jfif", "image/pipeg", "image/x-jpeg", "image/x-jpg",
      "image/mpo", "image/x-mpo"}},
    {"png", {"image/x-png", "image/apng", "image/vnd.mozilla.apng", "application/png", "application/x-png"}},
    {"gif", {"image/x-gif"}},
    {"webp", {"image/x-webp"}},
    {"svg",
     {"image/svg", "image/svg-xml", "image/x-svg", "image/x-svg+xml", "image/vnd.adobe.svg+xml",
      "text/xml-svg", "application/svg+xml", "application/xml", "text/xml"}},
    {"avif", {"image/avif-sequence", "image/heif", "image/heif-sequence"}},
    {"heic", {"image/heif", "image/heic-sequence", "image/heif-sequence", "image/x-heic", "image/x-heif"}},
    {"bmp",
     {"image/x-bmp", "image/x-ms-bmp", "image/ms-bmp", "image/x-windows-bmp", "image/x-bitmap",
      "image/x-win-bitmap", "application/bmp", "application/x-bmp"}},
    {"ico",
     {"image/x-icon", "image/ico", "image/icon", "image/x-ico", "image/vnd.microsoft.ico", "image/x-ms-icon",
      "text/ico", "application/ico", "application/x-ico"}},
    {"cur",
     {"image/x-icon", "image/ico", "image/icon", "image/x-ico", "image/x-cur", "image/cur", "image/x-cursor",
      "image/x-win-bitmap", "application/cur"}},
    {"tiff",
     {"image/tif", "image/x-tif", "image/x-tiff", "image/tiff-fx", "image/geotiff", "application/tif",
      "application/tiff", "application/x-tif", "application/x-tiff"}},
    {"jxl", {"image/x-jxl"}},
    {"jp2",
     {"image/jpx", "image/jpm", "image/jph", "image/x-jp2", "image/jpeg2000", "image/jpeg2000-image",
      "image/x-jpeg2000-image", "image/jpg2"}},
    {"j2k",
     {"image/j2c", "image/j2k", "image/jp2", "image/jphc", "image/x-j2k", "image/x-j2c", "image/jpeg2000",
      "image/jpeg2000-image", "image/x-jpeg2000-image"}},
    {"psd",
     {"image/psd", "image/x-psd", "image/photoshop", "image/x-photoshop", "application/photoshop",
      "application/x-photoshop", "application/psd", "application/x-psd"}},
    {"qoi", {"image/x-qoi"}},
    {"dds", {"image/vnd.ms-dds", "image/x-dds", "image/dds", "image/x-direct-draw-surface"}},
    {"icns", {"image/icns", "application/icns", "application/x-icns"}},
    {"tga",
     {"image/tga", "image/targa", "image/x-targa", "image/x-icb", "application/tga", "application/x-tga",
      "application/x-targa"}},
    {"pnm",
     {"image/x-portable-bitmap", "image/x-portable-graymap", "image/x-portable-pixmap",
      "image/x-portable-arbitrarymap", "image/x-portable-floatmap", "image/x-pnm", "image/x-pbm",
      "image/x-pgm", "image/x-ppm", "image/x-pfm"}},
    {"hdr", {"image/x-hdr", "image/hdr", "image/x-rgbe", "image/x-radiance"}},
    {"pcx", {"image/pcx", "image/x-pcx", "image/x-pc-paintbrush", "application/pcx", "application/x-pcx"}},
};

// What servers send where they know nothing, or want the body saved to a file.
constexpr const char* kNoClaims[] = {"application/octet-stream",   "application/octetstream",
                                     "binary/octet-stream",        "application/binary",
                                     "application/x-binary",       "application/unknown",
                                     "application/x-unknown",      "unknown/unknown",
                                     "application/download",       "application/x-download",
                                     "application/force-download", "application/x-force-download"};

bool IsOneOf(absl::string_view type, const char* const* types, size_t count) {
  for (size_t i = 0; i < count && types[i] != nullptr; ++i) {
    if (absl::EqualsIgnoreCase(type, types[i])) return true;
  }
  return false;
}

}  // namespace

std::optional<bool> IsContentTypeWrong(absl::string_view content_type, absl::string_view format,
                                       absl::string_view mime) {
  if (content_type == mime) return false;
  // A comma joins the values of headers that were sent twice.
  const absl::string_view type =
      absl::StripAsciiWhitespace(content_type.substr(0, content_type.find_first_of(";,")));
  if (absl::EqualsIgnoreCase(type, mime)) return false;
  const size_t slash = type.find('/');
  const bool named = slash != absl::string_view::npos && slash > 0 && slash + 1 < type.size();
  if (!named || type.find('*') != absl::string_view::npos) return std::nullopt;
  if (IsOneOf(type, kNoClaims, sizeof(kNoClaims) / sizeof(kNoClaims[0]))) return std::nullopt;
  for (const Aliases& aliases : kAliases) {
    if (format == aliases.format) return !IsOneOf(type, aliases.types, kMostAliases);
  }
  return true;
}

}  // namespace imgfleet::task
