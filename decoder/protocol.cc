#include "decoder/protocol.h"

#include <algorithm>

namespace imgfleet::decoder {
namespace {

constexpr uint32_t kRequestMagic = 0x31644649, kAnswerMagic = 0x31614649;
constexpr uint8_t kHasColours = 1, kLast = 2;

void Append(uint64_t value, int bytes, std::string* to) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t Number(absl::string_view bytes, size_t at, int size) {
  uint64_t value = 0;
  for (int i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

bool IsBlurHash(absl::string_view text) {
  return text.size() == kBlurHashBytes && text.find_first_not_of(kBase83) == absl::string_view::npos;
}

char Printable(char c) { return c >= ' ' && c <= '~' ? c : '?'; }

}  // namespace

std::string Encode(const RequestHead& head) {
  std::string bytes;
  Append(kRequestMagic, 4, &bytes);
  Append(static_cast<uint8_t>(head.format), 1, &bytes);
  Append(head.orientation, 1, &bytes);
  Append(0, 2, &bytes);
  Append(head.file_bytes, 8, &bytes);
  return bytes;
}

std::optional<RequestHead> ParseRequestHead(absl::string_view bytes) {
  if (bytes.size() != kRequestHeadBytes || Number(bytes, 0, 4) != kRequestMagic) return std::nullopt;
  const uint64_t format = Number(bytes, 4, 1), orientation = Number(bytes, 5, 1);
  if (format < 1 || format > static_cast<uint8_t>(kLastFormat) || orientation < 1 || orientation > 8 ||
      Number(bytes, 6, 2) != 0) {
    return std::nullopt;
  }
  return RequestHead{static_cast<Format>(format), static_cast<uint8_t>(orientation), Number(bytes, 8, 8)};
}

std::string Encode(const Answer& answer) {
  absl::string_view text = answer.status == AnswerStatus::kOk ? answer.facts.blurhash : answer.text;
  text = text.substr(0, kMaxTextBytes);
  const bool colours = answer.facts.average.has_value() && answer.facts.dominant.has_value();
  std::string bytes;
  Append(kAnswerMagic, 4, &bytes);
  Append(static_cast<uint8_t>(answer.status), 1, &bytes);
  Append((colours ? kHasColours : 0) | (answer.last ? kLast : 0), 1, &bytes);
  Append(text.size(), 2, &bytes);
  Append(answer.facts.phash, 8, &bytes);
  for (const auto& colour : {answer.facts.average, answer.facts.dominant}) {
    for (const uint8_t sample : colour.value_or(Colour{})) Append(sample, 1, &bytes);
  }
  Append(0, 2, &bytes);
  Append(0, 8, &bytes);
  bytes.append(text.data(), text.size());
  return bytes;
}

std::optional<size_t> AnswerTextBytes(absl::string_view head) {
  if (head.size() < kAnswerHeadBytes || Number(head, 0, 4) != kAnswerMagic) return std::nullopt;
  const size_t bytes = Number(head, 6, 2);
  if (bytes > kMaxTextBytes) return std::nullopt;
  return bytes;
}

std::optional<Answer> ParseAnswer(absl::string_view bytes) {
  const std::optional<size_t> text_bytes = AnswerTextBytes(bytes);
  if (!text_bytes.has_value() || bytes.size() != kAnswerHeadBytes + *text_bytes) return std::nullopt;
  const uint64_t status = Number(bytes, 4, 1), flags = Number(bytes, 5, 1);
  if (status > static_cast<uint8_t>(AnswerStatus::kRefused) || flags > (kHasColours | kLast))
    return std::nullopt;
  Answer answer;
  answer.status = static_cast<AnswerStatus>(status);
  answer.last = flags & kLast;
  std::string text(bytes.data() + kAnswerHeadBytes, *text_bytes);
  std::transform(text.begin(), text.end(), text.begin(), Printable);
  if (answer.status != AnswerStatus::kOk) {
    answer.text = std::move(text);
    return answer;
  }
  if (!text.empty() && !IsBlurHash(text)) return std::nullopt;
  answer.facts.blurhash = std::move(text);
  answer.facts.phash = Number(bytes, 8, 8);
  if (flags & kHasColours) {
    const auto colour = [bytes](size_t at) {
      return Colour{static_cast<uint8_t>(bytes[at]), static_cast<uint8_t>(bytes[at + 1]),
                    static_cast<uint8_t>(bytes[at + 2])};
    };
    answer.facts.average = colour(16);
    answer.facts.dominant = colour(19);
  }
  return answer;
}

}  // namespace imgfleet::decoder
