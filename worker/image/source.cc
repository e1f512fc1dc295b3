#include "worker/image/source.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace imgfleet::image {

bool Source::HasBeyondPrefix(uint64_t offset, uint64_t size) {
  if (size == 0) return true;
  if (offset > kMaxOffset || size > kMaxOffset) return false;
  const uint64_t begin = std::max<uint64_t>(offset, bytes_.prefix.size());
  const uint64_t end = offset + size;
  if (begin < bytes_.piece_offset) return false;
  const uint64_t skipped = begin - bytes_.piece_offset;
  if (skipped > bytes_.piece.size() || end - begin > bytes_.piece.size() - skipped) return false;
  NoteUse(begin, end);
  return true;
}

uint8_t Source::ByteBeyondPrefix(uint64_t offset) {
  if (offset >= bytes_.piece_offset && offset - bytes_.piece_offset < bytes_.piece.size()) {
    NoteUse(offset, offset + 1);
    return static_cast<uint8_t>(bytes_.piece[offset - bytes_.piece_offset]);
  }
  if (missed_ == kNone) missed_ = offset;
  return 0;
}

void Source::NoteUse(uint64_t begin, uint64_t end) {
  used_begin_ = std::min(used_begin_, begin);
  used_end_ = std::max(used_end_, end);
}

bool Source::EqualsBeyondPrefix(uint64_t offset, absl::string_view expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (U8(offset + i) != static_cast<uint8_t>(expected[i])) return false;
  }
  return true;
}

absl::string_view Source::Run(uint64_t offset) {
  if (offset < bytes_.prefix.size()) return bytes_.prefix.substr(offset);
  if (offset < bytes_.piece_offset || offset - bytes_.piece_offset >= bytes_.piece.size()) return {};
  const absl::string_view run = bytes_.piece.substr(offset - bytes_.piece_offset);
  NoteUse(offset, offset + run.size());
  return run;
}

ProbeResult Source::Missing(Format format, uint64_t offset, uint64_t size, uint64_t hint) const {
  ProbeResult result;
  result.info.format = format;
  uint64_t begin = std::min(offset, kMaxOffset);
  uint64_t end = begin + std::min(std::max<uint64_t>(size, 1), kMaxOffset);
  if (bytes_.total.has_value() && end > *bytes_.total) {
    result.status = ProbeStatus::kTruncated;
    result.message =
        absl::StrCat("the file ends at byte ", *bytes_.total, ", its header goes on to byte ", end);
    return result;
  }
  end = std::max(end, begin + std::min(hint, kMaxOffset));
  if (bytes_.total.has_value()) end = std::min(end, *bytes_.total);
  begin = std::max<uint64_t>(std::min(begin, used_begin_), bytes_.prefix.size());
  end = std::max(end, used_end_);
  result.status = ProbeStatus::kNeedMore;
  result.need_offset = begin;
  result.need_bytes = end - begin;
  return result;
}

ProbeResult Ok(const ImageInfo& info) {
  ProbeResult result;
  result.status = ProbeStatus::kOk;
  result.info = info;
  return result;
}

namespace {
ProbeResult Refused(ProbeStatus status, Format format, absl::string_view message) {
  ProbeResult result;
  result.status = status;
  result.info.format = format;
  result.message = std::string(message);
  return result;
}
}  // namespace

ProbeResult Corrupt(Format format, absl::string_view message) {
  return Refused(ProbeStatus::kCorrupt, format, message);
}
ProbeResult Unsupported(Format format, absl::string_view message) {
  return Refused(ProbeStatus::kUnsupported, format, message);
}
ProbeResult NotAnImage(absl::string_view message) {
  return Refused(ProbeStatus::kNotAnImage, Format::kUnknown, message);
}

}  // namespace imgfleet::image
