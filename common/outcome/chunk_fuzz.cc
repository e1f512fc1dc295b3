// Fuzzes what readers make of a chunk of outcomes: it is what a worker sent, who may be anybody by now. Byte 0: where
// the reading begins; byte 1: where the shard ends; the rest is a chunk's message, and as it is a blob. What must hold
// whatever the bytes:
//
// - A blob is refused, or packs again to one that means the same.
// - A reader hands on every index once, in order, from where it was told to begin to where the shard ends.
// - An outcome is one line of JSON that a parser takes, one member of API v1's object, and one record of CSV with a
//   field for each column.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "common/blob.h"
#include "common/outcome/codec.h"
#include "common/outcome/csv.h"
#include "common/outcome/json.h"
#include "common/outcome/result_reader.h"
#include "google/protobuf/stubs/logging.h"

namespace imgfleet::outcome {
namespace {

// Of a blob that says to hold more, only the 64 MiB are cleared that it may ask for: that teaches nothing and is slow.
constexpr uint32_t kMostClaimed = 1 << 20;

void Require(bool holds, const char* what, absl::string_view seen) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; \"%s\"\n", what, absl::CEscape(seen).c_str());
  std::abort();
}

void CheckJson(const std::string& text) {
  boost::json::error_code error;
  boost::json::monotonic_resource memory;
  const boost::json::value parsed = boost::json::parse({text.data(), text.size()}, error, &memory);
  Require(!error && parsed.is_object(), "an object of JSON", text);
  Require(text.find('\n') == std::string::npos, "one line of JSON", text);
}

// The fields of the one record (RFC 4180) that `text` is to be.
int CountFields(absl::string_view text) {
  int fields = 1;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (!quoted && text[i] == ',') ++fields;
    if (!quoted && text[i] == '\n') Require(i + 1 == text.size() && text[i - 1] == '\r', "one record", text);
  }
  Require(!quoted && !text.empty() && text.back() == '\n', "a whole record", text);
  return fields;
}

void CheckOutcome(const v1::Outcome& outcome) {
  std::string json, entry, csv, header;
  AppendOutcomeJson(outcome, json);
  CheckJson(json);
  AppendV1Entry(outcome, entry);
  CheckJson(absl::StrCat("{", entry, "}"));
  AppendOutcomeCsv(outcome, csv);
  AppendCsvHeader(header);
  Require(CountFields(csv) == CountFields(header), "a field for each column", csv);
}

void CheckReader(const std::string& blob, uint64_t from, uint64_t end) {
  ResultReader reader(from);
  v1::Outcomes message;
  message.set_packed(blob);
  message.set_next_index(end);
  message.set_shard_complete(true);
  uint64_t expected = from;
  const absl::Status status = reader.Take(message, [&](const v1::Outcome& outcome) {
    Require(outcome.index() == expected, "each index in its turn", absl::StrCat(outcome.index()));
    ++expected;
  });
  Require(reader.next_index() == expected, "what was handed on is counted", absl::StrCat(expected));
  Require(expected <= std::max(from, end), "nothing beyond the shard", absl::StrCat(expected));
  Require(!status.ok() || expected >= end, "a complete shard is complete", absl::StrCat(expected));
}

void CheckBlob(absl::string_view blob) {
  uint32_t claimed = 0;
  for (size_t i = 6; i-- > 2 && blob.size() > i;) claimed = claimed << 8 | static_cast<uint8_t>(blob[i]);
  if (claimed > kMostClaimed) return;
  const absl::StatusOr<std::string> raw = UnpackBlob(blob);
  if (!raw.ok()) return;
  const absl::StatusOr<std::string> again = UnpackBlob(PackBlob(*raw));
  Require(again.ok() && *again == *raw, "packed again it means the same", *raw);
}

}  // namespace
}  // namespace imgfleet::outcome

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace imgfleet::outcome;
  // It complains of every string that is no UTF-8.
  [[maybe_unused]] static auto* const log = google::protobuf::SetLogHandler(nullptr);
  if (size < 2) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  CheckBlob(bytes);
  const std::string blob = imgfleet::PackBlob(bytes);
  CheckReader(blob, data[0], data[1]);
  const auto chunk = UnpackOutcomes(blob);
  if (!chunk.ok()) return 0;
  for (const imgfleet::v1::Outcome& outcome : chunk->outcomes()) CheckOutcome(outcome);
  return 0;
}
