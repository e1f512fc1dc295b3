#include "common/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace imgfleet {
namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool SamePrefix(const uint8_t* a, const uint8_t* b, int bits) {
  if (std::memcmp(a, b, bits / 8) != 0) return false;
  if (bits % 8 == 0) return true;
  const uint8_t mask = static_cast<uint8_t>(0xff << (8 - bits % 8));
  return ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

// A table of blocks, parsed once.
std::vector<Cidr> Blocks(std::initializer_list<const char*> texts) {
  std::vector<Cidr> blocks;
  for (const char* text : texts) {
    absl::StatusOr<Cidr> block = Cidr::Parse(text);
    IMGFLEET_CHECK(block.ok());
    blocks.push_back(*block);
  }
  return blocks;
}

bool In(const std::vector<Cidr>& blocks, const IpAddress& address) {
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const Cidr& block) { return block.Contains(address); });
}

// IANA IPv4 special-purpose registry, what is not globally reachable, and multicast and class E.
const std::vector<Cidr>& ClosedV4() {
  static const auto* blocks = new std::vector<Cidr>(Blocks({
      "0.0.0.0/8",        // this network
      "10.0.0.0/8",       // private
      "100.64.0.0/10",    // shared, carrier-grade NAT
      "127.0.0.0/8",      // loopback
      "169.254.0.0/16",   // link-local, cloud metadata
      "172.16.0.0/12",    // private
      "192.0.0.0/24",     // IETF protocol assignments; its two global anycast addresses serve no web
      "192.0.2.0/24",     // documentation
      "192.31.196.0/24",  // AS112: answers reverse DNS only
      "192.52.193.0/24",  // AMT
      "192.88.99.0/24",   // 6to4 relay, deprecated
      "192.168.0.0/16",   // private
      "192.175.48.0/24",  // AS112
      "198.18.0.0/15",    // benchmarking
      "198.51.100.0/24",  // documentation
      "203.0.113.0/24",   // documentation
      "224.0.0.0/4",      // multicast
      "240.0.0.0/4",      // reserved, broadcast
      // Public by the registry, but answered inside a cloud by its platform, with credentials.
      "168.63.129.16/32",    // Azure
      "100.100.100.200/32",  // Alibaba, inside 100.64.0.0/10 already
  }));
  return *blocks;
}

// IANA "IPv6 Global Unicast Address Assignments": what has been given to a registry. All else is nobody's.
const std::vector<Cidr>& AllocatedV6() {
  static const auto* blocks = new std::vector<Cidr>(Blocks({
      "2001:200::/23",  "2001:400::/23",  "2001:600::/23",  "2001:800::/22",  "2001:c00::/23",
      "2001:e00::/23",  "2001:1200::/23", "2001:1400::/22", "2001:1800::/23", "2001:1a00::/23",
      "2001:1c00::/22", "2001:2000::/19", "2001:4000::/23", "2001:4200::/23", "2001:4400::/23",
      "2001:4600::/23", "2001:4800::/23", "2001:4a00::/23", "2001:4c00::/23", "2001:5000::/20",
      "2001:8000::/19", "2001:a000::/20", "2001:b000::/20", "2002::/16",      "2003::/18",
      "2400::/12",      "2410::/12",      "2600::/12",      "2610::/23",      "2620::/23",
      "2630::/12",      "2800::/12",      "2a00::/12",      "2a10::/12",      "2c00::/12",
  }));
  return *blocks;
}

// Special-purpose blocks inside the allocated ones.
const std::vector<Cidr>& ClosedV6() {
  static const auto* blocks = new std::vector<Cidr>(Blocks({
      "2001:db8::/32",      // documentation
      "2620:4f:8000::/48",  // AS112
  }));
  return *blocks;
}

const Cidr& Nat64() {
  static const auto* block = new Cidr(*Cidr::Parse("64:ff9b::/96"));
  return *block;
}

IpAddress V4At(const IpAddress& address, int offset) {
  const auto& b = address.bytes();
  return IpAddress::V4(static_cast<uint32_t>(b[offset]) << 24 | static_cast<uint32_t>(b[offset + 1]) << 16 |
                       static_cast<uint32_t>(b[offset + 2]) << 8 | b[offset + 3]);
}

// The IPv4 address that a packet to this IPv6 address may come out at, if any.
std::optional<IpAddress> EmbeddedV4(const IpAddress& address) {
  const auto& b = address.bytes();
  if (Nat64().Contains(address)) return V4At(address, 12);
  if (b[0] == 0x20 && b[1] == 0x02) return V4At(address, 2);  // 6to4
  const bool isatap = (b[8] & ~0x02) == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe;
  if (isatap) return V4At(address, 12);
  return std::nullopt;
}

bool OuterRoutable(const IpAddress& address) {
  if (address.is_v4()) return !In(ClosedV4(), address);
  if (Nat64().Contains(address)) return true;
  return In(AllocatedV6(), address) && !In(ClosedV6(), address);
}

}  // namespace

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  const std::string terminated(text);
  in_addr v4;
  if (inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return V4(ntohl(v4.s_addr));
  std::array<uint8_t, 16> v6;
  if (inet_pton(AF_INET6, terminated.c_str(), v6.data()) == 1) return V6(v6);
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no IP address"));
}

absl::StatusOr<IpAddress> IpAddress::FromSockaddr(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    return V4(ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    std::array<uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, bytes.size());
    return V6(bytes);
  }
  return absl::InvalidArgumentError(absl::StrCat("address family ", address->sa_family, " is not IP"));
}

IpAddress IpAddress::V4(uint32_t host_order) {
  IpAddress address;
  for (int i = 0; i < 4; ++i) address.bytes_[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

IpAddress IpAddress::V6(const std::array<uint8_t, 16>& bytes) {
  IpAddress address;
  if (std::memcmp(bytes.data(), kMappedPrefix, sizeof(kMappedPrefix)) == 0) {
    std::memcpy(address.bytes_.data(), bytes.data() + 12, 4);
    return address;
  }
  address.v4_ = false;
  address.bytes_ = bytes;
  return address;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text, sizeof(text));
  return text;
}

absl::StatusOr<Cidr> Cidr::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  Cidr cidr;
  ASSIGN_OR_RETURN(cidr.base_, IpAddress::Parse(text.substr(0, slash)));
  cidr.prefix_ = cidr.base_.bits();
  if (slash == absl::string_view::npos) return cidr;
  if (!absl::SimpleAtoi(text.substr(slash + 1), &cidr.prefix_) || cidr.prefix_ < 0 ||
      cidr.prefix_ > cidr.base_.bits()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the prefix must be a number from 0 to ", cidr.base_.bits()));
  }
  for (int bit = cidr.prefix_; bit < cidr.base_.bits(); ++bit) {
    if (cidr.base_.bytes()[bit / 8] & (0x80 >> (bit % 8))) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" has bits set behind its prefix of ", cidr.prefix_));
    }
  }
  return cidr;
}

bool Cidr::Contains(const IpAddress& address) const {
  return address.is_v4() == base_.is_v4() &&
         SamePrefix(address.bytes().data(), base_.bytes().data(), prefix_);
}

bool IsGloballyRoutable(const IpAddress& address) {
  if (!OuterRoutable(address)) return false;
  if (address.is_v4()) return true;
  const std::optional<IpAddress> inner = EmbeddedV4(address);
  return !inner.has_value() || OuterRoutable(*inner);
}

bool AddressPolicy::Allows(const IpAddress& address) const {
  return In(allowed_, address) || IsGloballyRoutable(address);
}

}  // namespace imgfleet
