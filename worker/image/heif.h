// The meta box of a HEIF file: what its primary item is, and which properties shape it. heif.cc finds the
// box.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "worker/image/box.h"
#include "worker/image/source.h"

namespace imgfleet::image {

// Reads the meta box whose content lies at [begin, end). `fallback` is the format the file's brands name; it
// decides for items that are derived from others (grids), and is kUnknown where the brands name none.
ProbeResult ReadHeifMeta(Source& source, uint64_t begin, uint64_t end, Format fallback, bool sequence);

// The format of an item or a track coded as `type`; kUnknown if it is neither HEVC nor AV1.
Format HeifFormatOfCoding(uint32_t type);

}  // namespace imgfleet::image
