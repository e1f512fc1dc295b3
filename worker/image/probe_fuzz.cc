// Fuzzes the probe as a fetcher uses it. The first two bytes choose how much comes first and whether the size is
// known; the rest is the file. What must hold whatever the bytes: fetching ends, an answer is complete, the whole file
// at once gives the same answer, no longer prefix changes an answer that was kOk, and a cut file has no other size.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "worker/image/fetching.h"

namespace imgfleet::image {
namespace {

void Require(bool holds, const char* what, const ProbeResult& result) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; %s\n", what, Describe(result).c_str());
  std::abort();
}

void RequireComplete(const ProbeResult& result) {
  Require(result.status != ProbeStatus::kNeedMore, "an end", result);
  if (result.status != ProbeStatus::kOk) {
    Require(!result.message.empty(), "a refusal says why", result);
    return;
  }
  const ImageInfo& info = result.info;
  Require(info.format != Format::kUnknown, "a format with kOk", result);
  Require(info.width && info.height && info.display_width && info.display_height, "sizes with kOk", result);
  Require(info.orientation >= 1 && info.orientation <= 8, "an orientation of Exif", result);
}

void Check(const std::string& file, uint64_t first, bool tell_total) {
  Bytes whole;
  whole.prefix = file;
  whole.total = file.size();
  const ProbeResult at_once = Probe(whole);
  RequireComplete(at_once);

  const Fetched fetched = FetchAndProbe(file, first, 16, tell_total);
  Require(!fetched.stuck, "progress", fetched.result);
  RequireComplete(fetched.result);
  Require(fetched.result.status == at_once.status, "the same status by ranges and at once", fetched.result);
  if (at_once.status == ProbeStatus::kOk) {
    Require(SameInfo(fetched.result.info, at_once.info), "the same answer by ranges and at once",
            fetched.result);
  }

  Bytes prefix;
  prefix.prefix = absl::string_view(file).substr(0, first);
  const ProbeResult early = Probe(prefix);
  if (early.status == ProbeStatus::kNeedMore) {
    Require(early.need_offset >= prefix.prefix.size() && early.need_bytes > 0, "progress", early);
  } else {
    Require(early.status == at_once.status, "an answer that stands", early);
    if (early.status == ProbeStatus::kOk)
      Require(SameInfo(early.info, at_once.info), "an answer that stands", early);
  }

  // The same bytes as a file that was cut there.
  prefix.total = prefix.prefix.size();
  const ProbeResult cut = Probe(prefix);
  RequireComplete(cut);
  if (cut.status == ProbeStatus::kOk && at_once.status == ProbeStatus::kOk) {
    Require(cut.info.width == at_once.info.width && cut.info.height == at_once.info.height,
            "the right size of a cut file", cut);
  }
}

}  // namespace
}  // namespace imgfleet::image

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string file(reinterpret_cast<const char*>(data) + 2, size - 2);
  imgfleet::image::Check(file, 1 + (data[0] | (data[1] & 0x7f) << 8) % 2048, data[1] & 0x80);
  return 0;
}
