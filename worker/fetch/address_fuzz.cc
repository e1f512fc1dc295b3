// Fuzzes the reading of addresses, blocks and the operator's host mappings, and the policy on whatever 16 bytes. What
// must hold whatever the bytes:
//
// - An address that was taken is written and read again as the same, and means what the C library says it does.
// - A block holds its own address. An address is open to a policy that opens exactly it.
// - An address that carries an IPv4 address is open by itself only if that is.
// - A mapping that was taken can be found.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "common/address_policy.h"
#include "common/host_map.h"

namespace imgfleet::fetch {
namespace {

void Require(bool holds, const char* what, const std::string& text) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; \"%s\"\n", what, text.c_str());
  std::abort();
}

void CheckPolicy(const IpAddress& address) {
  const std::string text = address.ToString();
  const absl::StatusOr<IpAddress> again = IpAddress::Parse(text);
  Require(again.ok() && *again == address, "written and read again", text);
  const absl::StatusOr<Cidr> itself = Cidr::Parse(text);
  Require(itself.ok() && itself->Contains(address), "a block of one", text);
  Require(AddressPolicy({*itself}).Allows(address), "opened by name", text);
  Require(AddressPolicy().Allows(address) == IsGloballyRoutable(address), "nothing opened", text);
  if (address.is_v4() || !IsGloballyRoutable(address)) return;
  const std::array<uint8_t, 16>& b = address.bytes();
  const auto inner = [&b](int at) {
    return IpAddress::V4(uint32_t{b[at]} << 24 | uint32_t{b[at + 1]} << 16 | uint32_t{b[at + 2]} << 8 |
                         b[at + 3]);
  };
  Require((b[0] & 0xe0) == 0x20 || (b[0] == 0 && b[1] == 0x64), "global unicast or NAT64", text);
  if (b[0] == 0x20 && b[1] == 0x02) Require(IsGloballyRoutable(inner(2)), "6to4", text);
  if (b[0] == 0) Require(IsGloballyRoutable(inner(12)), "NAT64", text);
  if (b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe && (b[8] == 0 || b[8] == 2)) {
    Require(IsGloballyRoutable(inner(12)), "ISATAP", text);
  }
}

void CheckText(const std::string& text) {
  const absl::StatusOr<IpAddress> address = IpAddress::Parse(text);
  in_addr v4;
  in6_addr v6;
  const bool plain = text.find('\0') == std::string::npos;
  const bool known =
      plain && (inet_pton(AF_INET, text.c_str(), &v4) == 1 || inet_pton(AF_INET6, text.c_str(), &v6) == 1);
  Require(address.ok() == known, "what the C library takes", text);
  if (address.ok()) CheckPolicy(*address);
  const absl::StatusOr<Cidr> block = Cidr::Parse(text);
  if (block.ok()) {
    const absl::StatusOr<IpAddress> base = IpAddress::Parse(text.substr(0, text.find('/')));
    Require(base.ok() && block->Contains(*base), "a block holds its address", text);
  }
  HostMap map;
  if (map.Add(text).ok()) {
    const std::string from = absl::AsciiStrToLower(text.substr(0, text.find('=')));
    const size_t colon = from.rfind(':');
    const int port = colon == std::string::npos ? 80 : std::atoi(from.c_str() + colon + 1);
    Require(map.Find(from.substr(0, colon), static_cast<uint16_t>(port)) != nullptr, "a mapping is found",
            text);
  }
}

}  // namespace
}  // namespace imgfleet::fetch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  imgfleet::fetch::CheckText(std::string(reinterpret_cast<const char*>(data), size));
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), data, size < 16 ? size : 16);
  imgfleet::fetch::CheckPolicy(imgfleet::IpAddress::V6(bytes));
  return 0;
}
