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
// Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates) and the
// IANA registry of allocated global unicast IPv6. Forms that carry an IPv4 address inside are judged by both
// addresses: mapped (RFC 4291), 6to4 (RFC 3056), NAT64 (RFC 6052), ISATAP (RFC 5214); compatible, Teredo,
// SIIT and local NAT64 addresses never pass by themselves.
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

 private:
  IpAddress base_;
  int prefix_ = 0;
};

// Immutable, thread-safe.
class AddressPolicy {
 public:
  AddressPolicy() = default;
  // Opens `allowed` besides what is globally routable.
  explicit AddressPolicy(std::vector<Cidr> allowed) : allowed_(std::move(allowed)) {}

  bool Allows(const IpAddress& address) const;

 private:
  std::vector<Cidr> allowed_;
};

// Whether the registries call the address globally reachable unicast, embedded IPv4 addresses included.
bool IsGloballyRoutable(const IpAddress& address);

}  // namespace imgfleet
