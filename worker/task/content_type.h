// Whether the media type that an origin sent with an image is one of the image's own.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"

namespace imgfleet::task {

// `content_type` is the header's value as it came, `format` and `mime` those of v1.ImageInfo. False where the type is
// the format's own, registered or in use for it (image/jpg, image/x-icon, image/heif for HEIC and AVIF, XML for SVG);
// true where it is another; empty where it claims nothing: no media type at all, application/octet-stream and its kin,
// or a wildcard. Parameters and case do not count. Thread-safe.
std::optional<bool> IsContentTypeWrong(absl::string_view content_type, absl::string_view format,
                                       absl::string_view mime);

}  // namespace imgfleet::task
