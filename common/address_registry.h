// What IANA's registries say of blocks of addresses, row by row, and what is closed besides. Data only;
// common/address_policy.h judges by it.
//
//   IPv4 Special-Purpose Address Registry      iana-ipv4-special-registry         as of 2025-10-09
//   IPv6 Special-Purpose Address Registry      iana-ipv6-special-registry         as of 2025-10-09
//   IPv6 Global Unicast Address Assignments    ipv6-unicast-address-assignments   as of 2025-10-10
//
// To bring them up to date: compare each table below with the registry of that name, add or change the row here and in
// address_policy_test.cc, and change the date.
#pragma once

#include "absl/types/span.h"

namespace imgfleet {

struct SpecialBlock {
  // The registry's column "Globally Reachable". kInside: it says "N/A", the IPv4 address inside decides. Blocks whose
  // assignment has ended have an empty cell there and are kNo.
  enum Reachable { kNo, kYes, kInside };

  const char* block;
  Reachable reachable;
  const char* name;
  const char* source;
};

// Where blocks lie in each other, the smallest one speaks.
absl::Span<const SpecialBlock> SpecialPurposeV4();
absl::Span<const SpecialBlock> SpecialPurposeV6();

// Blocks of 2000::/3 that IANA has assigned. All other IPv6 addresses belong to nobody, or are in SpecialPurposeV6.
absl::Span<const char* const> AssignedV6();

struct ClosedBlock {
  const char* block;
  const char* why;
};

// Closed whatever the registries say: nothing on the web answers there.
absl::Span<const ClosedBlock> ClosedBesides();

// Where a cloud answers its virtual machines, with credentials among other things. Some are public addresses, some lie
// in blocks that an operator has good reason to open.
absl::Span<const ClosedBlock> CloudPlatforms();

}  // namespace imgfleet
