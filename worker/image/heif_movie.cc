#include "worker/image/heif_movie.h"

#include <initializer_list>

namespace imgfleet::image {
namespace {

class MovieReader {
 public:
  MovieReader(Source& source, uint64_t reach, ImageInfo& info)
      : source_(source), reach_(reach), info_(info) {}

  // Each answers what it could read; kMissing: see need_offset() and need_size().
  Place Read(const Box& moov);
  uint64_t need_offset() const { return need_offset_; }
  uint64_t need_size() const { return need_size_; }

 private:
  // Goes down from `box` through the first child of each type in turn.
  Place Descend(Box box, std::initializer_list<uint32_t> types, Box* found);
  Place ReadHeader(const Box& track);
  Place ReadFrames(const Box& track);
  Place ReadLoops(const Box& track);
  // [offset, offset + size), if that lies inside `box`.
  Place Find(const Box& box, uint64_t offset, uint64_t size) {
    if (offset + size > box.end) return Place::kFar;
    const Place place = source_.Find(offset, size, reach_);
    if (place == Place::kMissing) {
      need_offset_ = offset;
      need_size_ = size;
    }
    return place;
  }

  Source& source_;
  const uint64_t reach_;
  ImageInfo& info_;
  bool pictures_ = false;  // The track has a size.
  uint64_t duration_ = 0;  // Of the track, its repetitions counted; 0: not known.
  bool endless_ = false;
  uint64_t need_offset_ = 0, need_size_ = 0;
};

Place MovieReader::Descend(Box box, std::initializer_list<uint32_t> types, Box* found) {
  for (const uint32_t type : types) {
    uint64_t at = box.begin;
    const uint64_t end = box.end;
    const Place place = SeekBox(source_, &at, end, type, reach_, &box, &need_size_);
    if (place == Place::kMissing) need_offset_ = at;
    if (place != Place::kAtHand) return place;
  }
  *found = box;
  return Place::kAtHand;
}

// tkhd: version and flags, two times, an id, 4 reserved bytes, the duration; in version 1 times and duration take
// 8 bytes each. Width and height end it as 16.16 fixed point.
Place MovieReader::ReadHeader(const Box& track) {
  Box box;
  Place place = Descend(track, {BoxType("tkhd")}, &box);
  if (place != Place::kAtHand || (place = Find(box, box.begin, 1)) != Place::kAtHand) return place;
  const bool wide = source_.U8(box.begin) == 1;
  const uint64_t size = wide ? 96 : 84;
  if ((place = Find(box, box.begin, size)) != Place::kAtHand) return place;
  duration_ = wide ? source_.Be64(box.begin + 28) : source_.Be32(box.begin + 20);
  endless_ = duration_ == (wide ? ~uint64_t{0} : 0xFFFFFFFF);
  pictures_ = source_.Be16(box.begin + size - 8) != 0 && source_.Be16(box.begin + size - 4) != 0;
  return Place::kAtHand;
}

// stsz, or stz2: version and flags, the size of a sample, their number.
Place MovieReader::ReadFrames(const Box& track) {
  Box table, box;
  Place place = Descend(track, {BoxType("mdia"), BoxType("minf"), BoxType("stbl")}, &table);
  if (place != Place::kAtHand) return place;
  place = Descend(table, {BoxType("stsz")}, &box);
  if (place == Place::kFar) place = Descend(table, {BoxType("stz2")}, &box);
  if (place != Place::kAtHand || (place = Find(box, box.begin, 12)) != Place::kAtHand) return place;
  const uint32_t samples = source_.Be32(box.begin + 8);
  if (samples == 0) return Place::kFar;
  info_.frames = samples;
  info_.animated = samples > 1;
  return Place::kAtHand;
}

// elst: version and flags (1: repeats), entries, the first one's duration. The track lasts as long as all
// repetitions together.
Place MovieReader::ReadLoops(const Box& track) {
  Box box;
  Place place = Descend(track, {BoxType("edts"), BoxType("elst")}, &box);
  if (place != Place::kAtHand || (place = Find(box, box.begin, 16)) != Place::kAtHand) return place;
  const uint8_t version = source_.U8(box.begin);
  if ((source_.U8(box.begin + 3) & 1) == 0) {
    info_.loop_count = 1;
    return place;
  }
  const uint64_t once = version == 1 ? source_.Be64(box.begin + 8) : source_.Be32(box.begin + 8);
  if (endless_) {
    info_.loop_count = 0;
  } else if (once > 0 && duration_ >= once && duration_ / once < 0xFFFFFFFF) {
    info_.loop_count = static_cast<uint32_t>(duration_ / once + (duration_ % once != 0));
  }
  return place;
}

Place MovieReader::Read(const Box& moov) {
  Box track;
  for (uint64_t at = moov.begin;;) {
    const Place found = SeekBox(source_, &at, moov.end, BoxType("trak"), reach_, &track, &need_size_);
    if (found == Place::kMissing) need_offset_ = at;
    if (found != Place::kAtHand) return found;
    const Place header = ReadHeader(track);
    if (header != Place::kAtHand) return header;
    if (pictures_) break;
  }
  if (const Place frames = ReadFrames(track); frames == Place::kMissing) return frames;
  return info_.animated ? ReadLoops(track) : Place::kAtHand;
}

}  // namespace

Place SeekBox(Source& source, uint64_t* at, uint64_t end, uint32_t type, uint64_t reach, Box* box,
              uint64_t* need) {
  while (*at < end && end - *at >= 8) {
    *need = 8;
    Place place = source.Find(*at, *need, reach);
    if (place != Place::kAtHand) return place;
    uint64_t header = 8;
    uint64_t size = source.Be32(*at);
    const uint32_t found = source.Be32(*at + 4);
    if (size == 1) {
      header = *need = 16;
      if ((place = source.Find(*at, *need, reach)) != Place::kAtHand) return place;
      size = source.Be64(*at + 8);
    } else if (size == 0) {
      size = end - *at;
    }
    if (size < header || size > end - *at) return Place::kFar;
    *box = {found, *at + header, *at + size};
    *at += size;
    if (found == type) return Place::kAtHand;
  }
  return Place::kFar;
}

bool ReadHeifMovie(Source& source, const Box& moov, uint64_t reach, ImageInfo& info, uint64_t* need_offset,
                   uint64_t* need_size) {
  MovieReader reader(source, reach, info);
  if (reader.Read(moov) != Place::kMissing) return true;
  *need_offset = reader.need_offset();
  *need_size = reader.need_size();
  return false;
}

}  // namespace imgfleet::image
