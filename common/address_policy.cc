#include "common/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/address_registry.h"
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

Cidr Block(const char* text) {
  absl::StatusOr<Cidr> block = Cidr::Parse(text);
  IMGFLEET_CHECK(block.ok());
  return *block;
}

// The registries, parsed once.
struct Registry {
  struct Special {
    Cidr block;
    SpecialBlock::Reachable reachable;
  };

  Registry() {
    for (const auto& table : {SpecialPurposeV4(), SpecialPurposeV6()}) {
      for (const SpecialBlock& row : table) special.push_back({Block(row.block), row.reachable});
    }
    // The smallest first: it speaks.
    std::stable_sort(special.begin(), special.end(),
                     [](const Special& a, const Special& b) { return a.block.prefix() > b.block.prefix(); });
    for (const char* block : AssignedV6()) assigned_v6.push_back(Block(block));
    for (const ClosedBlock& row : ClosedBesides()) closed.push_back(Block(row.block));
    for (const ClosedBlock& row : CloudPlatforms()) platforms.push_back(Block(row.block));
  }

  std::vector<Special> special;
  std::vector<Cidr> assigned_v6, closed, platforms;
};

const Registry& Registries() {
  static const auto* registry = new Registry;
  return *registry;
}

bool In(const std::vector<Cidr>& blocks, const IpAddress& address) {
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const Cidr& block) { return block.Contains(address); });
}

// An IPv4 address that a packet to an IPv6 address may come out at, and where in it the address stands.
struct Inner {
  IpAddress address;
  int first_bit;
};

// Takes the four bytes from `offset` on, leaving out byte 8, which RFC 6052 keeps free.
IpAddress V4At(const std::array<uint8_t, 16>& bytes, int offset, uint32_t flip = 0) {
  uint32_t v4 = 0;
  for (int taken = 0; taken < 4; ++offset) {
    if (offset == 8) continue;
    v4 = v4 << 8 | bytes[offset];
    ++taken;
  }
  return IpAddress::V4(v4 ^ flip);
}

bool Starts(const std::array<uint8_t, 16>& bytes, std::initializer_list<uint8_t> with) {
  return std::equal(with.begin(), with.end(), bytes.begin());
}

// 64:ff9b:1::/48 is cut into translation prefixes by whoever uses it; `prefix` is the length of theirs. An address
// that no translator of that length would hand out counts as one of 0.0.0.0.
IpAddress LocalNat64(const std::array<uint8_t, 16>& bytes, int prefix) {
  if (prefix != 48 && prefix != 56 && prefix != 64) return V4At(bytes, 12);
  const int end = prefix / 8 + 5;  // Behind the IPv4 address and byte 8.
  const bool suffix =
      bytes[8] != 0 || std::any_of(bytes.begin() + end, bytes.end(), [](uint8_t byte) { return byte != 0; });
  return suffix ? IpAddress::V4(0) : V4At(bytes, prefix / 8);
}

// `prefix`: of the block by which the operator opened the address, 0 where none did.
std::vector<Inner> EmbeddedV4(const IpAddress& address, int prefix) {
  const std::array<uint8_t, 16>& b = address.bytes();
  if (Starts(b, {0x20, 0x02})) return {{V4At(b, 2), 16}};  // 6to4
  if (Starts(b, {0x20, 0x01, 0, 0})) {                     // Teredo: its server, and the client, obfuscated
    return {{V4At(b, 4), 32}, {V4At(b, 12, 0xffffffff), 96}};
  }
  if (Starts(b, {0, 0x64, 0xff, 0x9b, 0, 1})) {
    const int length = prefix == 48 || prefix == 56 || prefix == 64 ? prefix : 96;
    return {{LocalNat64(b, length), length}};
  }
  const bool nat64 = Starts(b, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0});
  const bool translated = Starts(b, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0});
  const bool compatible = Starts(b, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  const bool isatap = (b[8] & ~0x02) == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe;
  if (nat64 || translated || compatible || isatap) return {{V4At(b, 12), 96}};
  return {};
}

// Whether the address itself is one, whatever it carries inside, as the registries' rows say.
bool RoutableByRows(const IpAddress& address) {
  const Registry& registry = Registries();
  if (In(registry.closed, address) || In(registry.platforms, address)) return false;
  for (const Registry::Special& row : registry.special) {
    if (row.block.Contains(address)) return row.reachable != SpecialBlock::kNo;
  }
  return address.is_v4() || In(registry.assigned_v6, address);
}

uint32_t HostOrder(const IpAddress& v4) {
  const std::array<uint8_t, 16>& b = v4.bytes();
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
}

// What the rows say of all of IPv4, as runs of addresses: the policy is asked before every request, and
// some forty rows one after the other are a fiftieth of what a request costs.
class RoutableV4 {
 public:
  RoutableV4() {
    const Registry& registry = Registries();
    std::vector<uint32_t> edges = {0};
    const auto add = [&](const Cidr& block) {
      if (!block.base().is_v4()) return;
      const uint32_t first = HostOrder(block.base());
      const uint64_t end = first + (uint64_t{1} << (32 - block.prefix()));
      edges.push_back(first);
      if (end <= 0xffffffff) edges.push_back(static_cast<uint32_t>(end));
    };
    for (const Registry::Special& row : registry.special) add(row.block);
    for (const Cidr& block : registry.closed) add(block);
    for (const Cidr& block : registry.platforms) add(block);
    std::sort(edges.begin(), edges.end());
    for (const uint32_t edge : edges) {
      const bool routable = RoutableByRows(IpAddress::V4(edge));
      if (runs_.empty() || runs_.back().routable != routable) runs_.push_back({edge, routable});
    }
  }

  bool Contains(const IpAddress& v4) const {
    const auto behind =
        std::upper_bound(runs_.begin(), runs_.end(), HostOrder(v4),
                         [](uint32_t address, const Run& run) { return address < run.first; });
    return std::prev(behind)->routable;
  }

 private:
  struct Run {
    uint32_t first;  // The last is one below the next run's first.
    bool routable;
  };

  std::vector<Run> runs_;  // Sorted; the first begins at 0.0.0.0.
};

bool OuterRoutable(const IpAddress& address) {
  static const auto* v4 = new RoutableV4;
  return address.is_v4() ? v4->Contains(address) : RoutableByRows(address);
}

}  // namespace

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  const std::string terminated(text);
  const bool whole = terminated.find('\0') == std::string::npos;
  in_addr v4;
  if (whole && inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return V4(ntohl(v4.s_addr));
  std::array<uint8_t, 16> v6;
  if (whole && inet_pton(AF_INET6, terminated.c_str(), v6.data()) == 1) return V6(v6);
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
  const absl::string_view prefix = text.substr(slash + 1);
  const bool digits =
      std::all_of(prefix.begin(), prefix.end(), absl::ascii_isdigit);  // SimpleAtoi takes more.
  if (!digits || !absl::SimpleAtoi(prefix, &cidr.prefix_) || cidr.prefix_ < 0 ||
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
  const std::vector<Inner> inside = EmbeddedV4(address, 0);
  return std::all_of(inside.begin(), inside.end(),
                     [](const Inner& inner) { return OuterRoutable(inner.address); });
}

bool AddressPolicy::Allows(const IpAddress& address) const {
  if (IsGloballyRoutable(address)) return true;
  return std::any_of(allowed_.begin(), allowed_.end(),
                     [&](const Cidr& block) { return Opens(block, address); });
}

bool AddressPolicy::Opens(const Cidr& block, const IpAddress& address) const {
  if (!block.Contains(address)) return false;
  for (const Cidr& platform : Registries().platforms) {
    if (platform.Contains(address) && block.prefix() < platform.prefix()) return false;
  }
  if (address.is_v4()) return true;
  const std::vector<Inner> inside = EmbeddedV4(address, block.prefix());
  return std::all_of(inside.begin(), inside.end(), [&](const Inner& inner) {
    return block.prefix() > inner.first_bit || Allows(inner.address);
  });
}

}  // namespace imgfleet
