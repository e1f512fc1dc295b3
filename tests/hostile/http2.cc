#include "tests/hostile/http2.h"

#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"

namespace imgfleet::hostile {
namespace {

constexpr size_t kPrefaceBytes = 24, kFrameHeadBytes = 9, kMaxFrame = 16384;

uint32_t Number(absl::string_view bytes) {
  uint32_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

// RFC 7541 section 5.2, without Huffman coding.
std::string Literal(absl::string_view text) {
  std::string out;
  if (text.size() < 127) {
    out.push_back(static_cast<char>(text.size()));
  } else {
    out.push_back(127);
    size_t rest = text.size() - 127;
    for (; rest >= 128; rest >>= 7) out.push_back(static_cast<char>(rest % 128 + 128));
    out.push_back(static_cast<char>(rest));
  }
  return absl::StrCat(out, text);
}

}  // namespace

std::string Pack(Frame type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(payload.size() >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  return absl::StrCat(frame, payload);
}

std::string Block(std::initializer_list<std::pair<absl::string_view, absl::string_view>> fields) {
  std::string block;
  for (const auto& [name, value] : fields) {
    block.push_back('\0');
    absl::StrAppend(&block, Literal(name), Literal(value));
  }
  return block;
}

std::string Respond(uint32_t stream,
                    std::initializer_list<std::pair<absl::string_view, absl::string_view>> fields,
                    absl::string_view body) {
  std::string answer = Pack(Frame::kHeaders, kEndHeaders, stream, Block(fields));
  while (body.size() > kMaxFrame) {
    answer += Pack(Frame::kData, 0, stream, body.substr(0, kMaxFrame));
    body.remove_prefix(kMaxFrame);
  }
  return answer + Pack(Frame::kData, kEndStream, stream, body);
}

bool Http2Peer::Open(absl::string_view settings) {
  std::string preface;
  return peer_.ReadBytes(kPrefaceBytes, &preface) && peer_.Send(Pack(Frame::kSettings, 0, 0, settings));
}

std::optional<uint32_t> Http2Peer::Next() {
  std::string head, payload;
  while (peer_.ReadBytes(kFrameHeadBytes, &head)) {
    const absl::string_view view = head;
    if (!peer_.ReadBytes(Number(view.substr(0, 3)), &payload)) break;
    const Frame type{static_cast<uint8_t>(head[3])};
    const uint32_t stream = Number(view.substr(5));
    if (type == Frame::kSettings && (head[4] & kAck) == 0) {
      if (!peer_.Send(Pack(Frame::kSettings, kAck, 0, ""))) break;
    }
    if (type != Frame::kHeaders) continue;
    if (!peer_.mended()) return stream;
    if (!peer_.Send(Respond(stream, {{":status", "200"}}, Gif(123, 45)))) break;
  }
  return std::nullopt;
}

}  // namespace imgfleet::hostile
