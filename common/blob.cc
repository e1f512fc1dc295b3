#include "common/blob.h"

#include <zstd.h>

#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "boost/crc.hpp"

namespace imgfleet {
namespace {

constexpr char kVersion = 1;
constexpr char kStored = 0;
constexpr char kZstd = 1;
constexpr size_t kHeaderBytes = 10;
// The cheapest level already finds what repeats here (hosts, field tags); higher ones cost more CPU than they
// save I/O.
constexpr int kZstdLevel = 1;

void PutLittle32(uint32_t value, char* out) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<char>(value >> (8 * i));
}

uint32_t GetLittle32(const char* in) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= static_cast<uint32_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  return value;
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

#if defined(__x86_64__)
// Every byte of every item and outcome passes here several times, and the table costs eight times as much.
__attribute__((target("sse4.2"))) uint32_t Crc32cByInstruction(absl::string_view bytes) {
  uint64_t crc = 0xFFFFFFFF;
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    crc = __builtin_ia32_crc32di(crc, word);
  }
  auto last = static_cast<uint32_t>(crc);
  for (; left > 0; ++at, --left) last = __builtin_ia32_crc32qi(last, static_cast<unsigned char>(*at));
  return ~last;
}
#endif

}  // namespace

uint32_t internal::Crc32cByTable(absl::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

uint32_t Crc32c(absl::string_view bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return Crc32cByInstruction(bytes);
#endif
  return internal::Crc32cByTable(bytes);
}

std::string PackBlob(absl::string_view raw) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  std::string blob(kHeaderBytes + ZSTD_compressBound(raw.size()), '\0');
  const size_t packed = ZSTD_compressCCtx(context.get(), blob.data() + kHeaderBytes,
                                          blob.size() - kHeaderBytes, raw.data(), raw.size(), kZstdLevel);
  const bool compressed = !ZSTD_isError(packed) && packed < raw.size();
  blob[0] = kVersion;
  blob[1] = compressed ? kZstd : kStored;
  PutLittle32(static_cast<uint32_t>(raw.size()), blob.data() + 2);
  PutLittle32(Crc32c(raw), blob.data() + 6);
  blob.resize(kHeaderBytes + (compressed ? packed : 0));
  if (!compressed) absl::StrAppend(&blob, raw);
  return blob;
}

absl::StatusOr<std::string> UnpackBlob(absl::string_view blob) {
  if (blob.size() < kHeaderBytes) {
    return absl::DataLossError(absl::StrCat("blob of ", blob.size(), " bytes is shorter than its header"));
  }
  if (blob[0] != kVersion || (blob[1] != kStored && blob[1] != kZstd)) {
    return absl::UnimplementedError(absl::StrCat("blob has format version ", static_cast<int>(blob[0]),
                                                 " and codec ", static_cast<int>(blob[1]),
                                                 "; this release reads version 1, codecs 0 and 1"));
  }
  const uint32_t raw_size = GetLittle32(blob.data() + 2);
  const absl::string_view body = blob.substr(kHeaderBytes);
  if (raw_size > kMaxBlobRawBytes) {
    return absl::DataLossError(absl::StrCat("blob claims ", raw_size, " raw bytes, more than any has"));
  }
  std::string raw;
  if (blob[1] == kStored) {
    raw = std::string(body);
  } else {
    thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
    raw.resize(raw_size);
    const size_t got = ZSTD_decompressDCtx(context.get(), raw.data(), raw.size(), body.data(), body.size());
    if (ZSTD_isError(got)) return absl::DataLossError(absl::StrCat("blob: ", ZSTD_getErrorName(got)));
    raw.resize(got);
  }
  if (raw.size() != raw_size) {
    return absl::DataLossError(
        absl::StrCat("blob holds ", raw.size(), " raw bytes, its header says ", raw_size));
  }
  if (Crc32c(raw) != GetLittle32(blob.data() + 6))
    return absl::DataLossError("blob: checksum does not match");
  return raw;
}

}  // namespace imgfleet
