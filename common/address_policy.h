// Which addresses may be connected to.
//
// A list of URLs comes from anyone, so a worker must not become a way into the network it stands in: only
// globally routable addresses pass, unless the operator opens more (--allow-address). What counts is the
// address of the connection, not the name: callers judge after DNS, for every connection and every request.
//
//   AddressPolicy policy({*Cidr::Parse("10.1.0.0/16")});
//   policy.Allows(*IpAddress::Parse("10.1.2.3"));   // true, opened
//   policy.Allows(*IpAddress::Parse("127.0.0.1"));  // false
//   policy.Allows(*IpAddress::Parse("64:ff9b::7f00:1"));  // false: NAT64 of 127.0.0.1
//
// What is globally routable stands in common/address_registry.h: IANA's special-purpose registries for IPv4 and IPv6,
// whose column "Globally Reachable" decides, and for IPv6 the list of blocks that IANA has assigned. Closed besides are
// multicast, anycast services of the network one stands in, and the addresses where clouds answer their machines.
//
// An IPv6 address that carries an IPv4 address is judged by both: mapped and compatible (RFC 4291), translated
// (::ffff:0:a.b.c.d, RFC 2765), NAT64 under 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215), 6to4 (RFC 3056),
// Teredo with server and client (RFC 4380), ISATAP (RFC 5214). Translation prefixes that a network has picked from its
// own addresses, 6rd and MAP cannot be seen in an address.
//
// What the operator opens:
// - A block of IPv6 opens what is carried inside only if that is open itself, or if the block is so long that it names
//   a part of it: 64:ff9b::/96 does not open 64:ff9b::10.0.0.1, but 64:ff9b::10.0.0.0/104 does.
// - 64:ff9b:1::/48 is to be opened by the very prefix that the translator uses (/48, /56, /64 or /96): its length tells
//   where the IPv4 address stands.
// - The addresses of a cloud's platform open by blocks that name just them: 169.254.0.0/16 does not open
//   169.254.169.254, and fd00::/8 not fd00:ec2::254.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace imgfleet {

// An IPv4 or IPv6 address. A plain value; v4-mapped IPv6 addresses are held as the IPv4 address they mean.
class IpAddress {
 public:
  // Strict forms only: "192.0.2.1" (four decimal numbers without leading zeros) and RFC 4291 IPv6 without
  // brackets or zone. INVALID_ARGUMENT otherwise.
  static absl::StatusOr<IpAddress> Parse(absl::string_view text);
  // INVALID_ARGUMENT for families other than AF_INET and AF_INET6.
  static absl::StatusOr<IpAddress> FromSockaddr(const sockaddr* address);
  static IpAddress V4(uint32_t host_order);
  static IpAddress V6(const std::array<uint8_t, 16>& bytes);

  bool is_v4() const { return v4_; }
  // In network order; an IPv4 address stands in the first four.
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  int bits() const { return v4_ ? 32 : 128; }
  std::string ToString() const;
  bool operator==(const IpAddress&) const = default;

 private:
  bool v4_ = true;
  std::array<uint8_t, 16> bytes_{};
};

// A block of addresses: "10.0.0.0/8", "fd00::/8", or one address.
class Cidr {
 public:
  // INVALID_ARGUMENT where the text is none, or has bits set behind its prefix (10.1.2.3/8 is surely a
  // mistake).
  static absl::StatusOr<Cidr> Parse(absl::string_view text);
  bool Contains(const IpAddress& address) const;
  // The lowest address.
  const IpAddress& base() const { return base_; }
  // In bits, up to 32 or 128.
  int prefix() const { return prefix_; }

 private:
  IpAddress base_;
  int prefix_ = 0;
};

// Immutable, thread-safe.
class AddressPolicy {
 public:
  AddressPolicy() = default;
  // Opens `allowed` besides what is globally routable, as told above.
  explicit AddressPolicy(std::vector<Cidr> allowed) : allowed_(std::move(allowed)) {}

  bool Allows(const IpAddress& address) const;

 private:
  bool Opens(const Cidr& block, const IpAddress& address) const;

  std::vector<Cidr> allowed_;
};

// Whether the registries call the address globally reachable unicast, embedded IPv4 addresses included.
bool IsGloballyRoutable(const IpAddress& address);

}  // namespace imgfleet
