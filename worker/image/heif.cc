// HEIC and AVIF: the brands say whether it is one; the meta box, wherever in the file, holds the answer. A
// sequence without a meta box is measured by its first picture track. A sequence's frames and loops stand in its
// movie box; behind a meta box it is read only where it lies in the file's first bytes.
#include "worker/image/heif.h"
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/image/heif_movie.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

// Longer than any list of brands; a longer box is none.
constexpr uint64_t kMaxBrands = 4096;
// Meta boxes of stills of one tile and of a few dozen fit.
constexpr uint64_t kMetaHint = 8192;
// What a track says of its frames follows its header closely.
constexpr uint64_t kMovieReach = 4096;

struct Brands {
  bool heif = false;      // Some brand says that an image is inside.
  bool sequence = false;  // The first one says that it moves.
  Format format = Format::kUnknown;
  const char* unsupported = nullptr;
};

void AddBrand(uint32_t brand, bool major, Brands& brands) {
  Format format = Format::kUnknown;
  bool sequence = false;
  switch (brand) {
    case BoxType("avis"):
      sequence = true;
      [[fallthrough]];
    case BoxType("avif"):
      format = Format::kAvif;
      break;
    case BoxType("hevc"):
    case BoxType("hevx"):
    case BoxType("hevm"):
    case BoxType("hevs"):
      sequence = true;
      [[fallthrough]];
    case BoxType("heic"):
    case BoxType("heix"):
    case BoxType("heim"):
    case BoxType("heis"):
      format = Format::kHeic;
      break;
    case BoxType("msf1"):
      sequence = true;
      break;
    case BoxType("mif1"):
    case BoxType("mif2"):
      break;
    case BoxType("crx "):
      if (major) brands.unsupported = "Canon CR3 raw";
      return;
    default:
      return;
  }
  brands.heif = true;
  if (major) brands.sequence = sequence;
  if (brands.format == Format::kUnknown) brands.format = format;
}

ProbeResult Stopped(Source& source, Format format, BoxWalk::Step step, const BoxWalk& walk) {
  if (step == BoxWalk::Step::kMissing) {
    return source.Missing(format, walk.need_offset(), walk.need_size(), kMetaHint);
  }
  return Corrupt(format, absl::StrCat("HEIF: ", walk.problem()));
}

// The first track of a movie box that has a size.
ProbeResult ReadMovie(Source& source, const Box& moov, Format format) {
  ImageInfo info;
  info.format = format;
  info.animated = true;
  BoxWalk tracks(source, moov.begin, moov.end);
  Box track;
  BoxWalk::Step step;
  while ((step = tracks.Next(&track)) == BoxWalk::Step::kBox) {
    if (track.type != BoxType("trak")) continue;
    BoxWalk children(source, track.begin, track.end);
    Box child;
    while ((step = children.Next(&child)) == BoxWalk::Step::kBox) {
      if (child.type != BoxType("tkhd")) continue;
      // Version 1 has 64-bit times; width and height end the box as 16.16 fixed point.
      if (!source.Has(child.begin, 1)) return source.Missing(format, child.begin, 1, 92);
      const uint64_t size = source.U8(child.begin) == 1 ? 96 : 84;
      if (child.end - child.begin < size) return Corrupt(format, "HEIF: a track header is too short");
      if (!source.Has(child.begin, size)) return source.Missing(format, child.begin, size);
      info.width = source.Be32(child.begin + size - 8) >> 16;
      info.height = source.Be32(child.begin + size - 4) >> 16;
      if (info.width == 0 || info.height == 0) break;
      SetOrientation(info, 1);
      const uint64_t reach = std::max(kFieldReach, child.begin + kMovieReach);
      uint64_t offset = 0, missing = 0;
      if (!ReadHeifMovie(source, moov, reach, info, &offset, &missing))
        return source.Missing(format, offset, missing, kMovieReach);
      return Ok(info);
    }
    if (step == BoxWalk::Step::kMissing || step == BoxWalk::Step::kBad)
      return Stopped(source, format, step, children);
  }
  if (step != BoxWalk::Step::kEnd) return Stopped(source, format, step, tracks);
  return Corrupt(format, "HEIF: a sequence without a picture track");
}

// Completes a sequence's `answer`, read from the meta box that ends at `at`, by the movie box behind it.
ProbeResult WithMovie(Source& source, uint64_t at, ProbeResult answer) {
  Box moov;
  uint64_t offset = 0, size = 0;
  const Place place = SeekBox(source, &at, kMaxOffset, BoxType("moov"), kFieldReach, &moov, &size);
  if (place == Place::kMissing) return source.Missing(answer.info.format, at, size, kMovieReach);
  if (place == Place::kFar || ReadHeifMovie(source, moov, kFieldReach, answer.info, &offset, &size))
    return answer;
  return source.Missing(answer.info.format, offset, size, kMovieReach);
}

}  // namespace

Format HeifFormatOfCoding(uint32_t type) {
  if (type == BoxType("av01")) return Format::kAvif;
  if (type == BoxType("hvc1") || type == BoxType("hev1") || type == BoxType("lhv1")) return Format::kHeic;
  return Format::kUnknown;
}

ProbeResult ReadHeif(Source& source) {
  if (!source.Has(0, 16)) return source.Missing(Format::kUnknown, 0, 16, 32);
  const uint64_t brands_end = source.Be32(0);
  if (brands_end < 16 || brands_end > kMaxBrands)
    return NotAnImage("an ISO media file whose list of brands is none");
  if (!source.Has(0, brands_end)) return source.Missing(Format::kUnknown, 0, brands_end, kMetaHint);
  Brands brands;
  AddBrand(source.Be32(8), true, brands);
  for (uint64_t at = 16; at + 4 <= brands_end; at += 4) AddBrand(source.Be32(at), false, brands);
  if (brands.unsupported) return Unsupported(Format::kUnknown, brands.unsupported);
  if (!brands.heif) return NotAnImage("an ISO media file without an image (a video or sound)");

  // Not up to the known end of the file: where a cut file's boxes reach beyond it, that is told as cut.
  BoxWalk walk(source, brands_end, kMaxOffset);
  Box box;
  BoxWalk::Step step;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("meta")) {
      ProbeResult answer = ReadHeifMeta(source, box.begin, box.end, brands.format, brands.sequence);
      if (!brands.sequence) return answer;
      if (answer.status == ProbeStatus::kOk) return WithMovie(source, box.end, std::move(answer));
      // A sequence need not have a picture besides its tracks: then its meta box is about them.
      if (answer.status == ProbeStatus::kNeedMore || answer.status == ProbeStatus::kTruncated) return answer;
    }
    if (box.type == BoxType("moov") && brands.sequence) return ReadMovie(source, box, brands.format);
  }
  if (step == BoxWalk::Step::kEnd) return Corrupt(brands.format, "HEIF: no meta box");
  return Stopped(source, brands.format, step, walk);
}

}  // namespace imgfleet::image
