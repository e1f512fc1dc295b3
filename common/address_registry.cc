#include "common/address_registry.h"

namespace imgfleet {
namespace {

constexpr auto kNo = SpecialBlock::kNo;
constexpr auto kYes = SpecialBlock::kYes;
constexpr auto kInside = SpecialBlock::kInside;

constexpr SpecialBlock kSpecialV4[] = {
    {"0.0.0.0/8", kNo, "This network", "RFC 791 section 3.2"},
    {"0.0.0.0/32", kNo, "This host on this network", "RFC 1122 section 3.2.1.3"},
    {"10.0.0.0/8", kNo, "Private-Use", "RFC 1918"},
    {"100.64.0.0/10", kNo, "Shared Address Space", "RFC 6598"},
    {"127.0.0.0/8", kNo, "Loopback", "RFC 1122 section 3.2.1.3"},
    {"169.254.0.0/16", kNo, "Link Local", "RFC 3927"},
    {"172.16.0.0/12", kNo, "Private-Use", "RFC 1918"},
    {"192.0.0.0/24", kNo, "IETF Protocol Assignments", "RFC 6890 section 2.1"},
    {"192.0.0.0/29", kNo, "IPv4 Service Continuity Prefix", "RFC 7335"},
    {"192.0.0.8/32", kNo, "IPv4 dummy address", "RFC 7600"},
    {"192.0.0.9/32", kYes, "Port Control Protocol Anycast", "RFC 7723"},
    {"192.0.0.10/32", kYes, "Traversal Using Relays around NAT Anycast", "RFC 8155"},
    {"192.0.0.170/32", kNo, "NAT64/DNS64 Discovery", "RFC 8880, RFC 7050 section 2.2"},
    {"192.0.0.171/32", kNo, "NAT64/DNS64 Discovery", "RFC 8880, RFC 7050 section 2.2"},
    {"192.0.2.0/24", kNo, "Documentation (TEST-NET-1)", "RFC 5737"},
    {"192.31.196.0/24", kYes, "AS112-v4", "RFC 7535"},
    {"192.52.193.0/24", kYes, "AMT", "RFC 7450"},
    {"192.88.99.0/24", kNo, "Deprecated (6to4 Relay Anycast)", "RFC 7526"},
    {"192.88.99.2/32", kNo, "6a44-relay anycast address", "RFC 6751"},
    {"192.168.0.0/16", kNo, "Private-Use", "RFC 1918"},
    {"192.175.48.0/24", kYes, "Direct Delegation AS112 Service", "RFC 7534"},
    {"198.18.0.0/15", kNo, "Benchmarking", "RFC 2544"},
    {"198.51.100.0/24", kNo, "Documentation (TEST-NET-2)", "RFC 5737"},
    {"203.0.113.0/24", kNo, "Documentation (TEST-NET-3)", "RFC 5737"},
    {"240.0.0.0/4", kNo, "Reserved", "RFC 1112 section 4"},
    {"255.255.255.255/32", kNo, "Limited Broadcast", "RFC 8190, RFC 919 section 7"},
};

constexpr SpecialBlock kSpecialV6[] = {
    {"::1/128", kNo, "Loopback Address", "RFC 4291"},
    {"::/128", kNo, "Unspecified Address", "RFC 4291"},
    // ::ffff:0:0/96, IPv4-mapped, RFC 4291, not reachable: an IpAddress holds the IPv4 address instead.
    {"64:ff9b::/96", kYes, "IPv4-IPv6 Translat.", "RFC 6052"},
    {"64:ff9b:1::/48", kNo, "IPv4-IPv6 Translat.", "RFC 8215"},
    {"100::/64", kNo, "Discard-Only Address Block", "RFC 6666"},
    {"100:0:0:1::/64", kNo, "Dummy IPv6 Prefix", "RFC 9780"},
    {"2001::/23", kNo, "IETF Protocol Assignments", "RFC 2928"},
    {"2001::/32", kInside, "TEREDO", "RFC 4380, RFC 8190"},
    {"2001:1::1/128", kYes, "Port Control Protocol Anycast", "RFC 7723"},
    {"2001:1::2/128", kYes, "Traversal Using Relays around NAT Anycast", "RFC 8155"},
    {"2001:1::3/128", kYes, "DNS-SD Service Registration Protocol Anycast", "RFC 9665"},
    {"2001:2::/48", kNo, "Benchmarking", "RFC 5180"},
    {"2001:3::/32", kYes, "AMT", "RFC 7450"},
    {"2001:4:112::/48", kYes, "AS112-v6", "RFC 7535"},
    {"2001:10::/28", kNo, "Deprecated (previously ORCHID)", "RFC 4843"},
    {"2001:20::/28", kYes, "ORCHIDv2", "RFC 7343"},
    {"2001:30::/28", kYes, "Drone Remote ID Protocol Entity Tags", "RFC 9374"},
    {"2001:db8::/32", kNo, "Documentation", "RFC 3849"},
    {"2002::/16", kInside, "6to4", "RFC 3056"},
    {"2620:4f:8000::/48", kYes, "Direct Delegation AS112 Service", "RFC 7534"},
    {"3fff::/20", kNo, "Documentation", "RFC 9637"},
    {"5f00::/16", kNo, "Segment Routing (SRv6) SIDs", "RFC 9602"},
    {"fc00::/7", kNo, "Unique-Local", "RFC 4193, RFC 8190"},
    {"fe80::/10", kNo, "Link-Local Unicast", "RFC 4291"},
};

constexpr const char* kAssignedV6[] = {
    "2001::/23",       // IANA itself, see the special-purpose registry
    "2001:200::/23",   // APNIC
    "2001:400::/23",   // ARIN
    "2001:600::/23",   // RIPE NCC
    "2001:800::/22",   // RIPE NCC
    "2001:c00::/23",   // APNIC
    "2001:e00::/23",   // APNIC
    "2001:1200::/23",  // LACNIC
    "2001:1400::/22",  // RIPE NCC
    "2001:1800::/23",  // ARIN
    "2001:1a00::/23",  // RIPE NCC
    "2001:1c00::/22",  // RIPE NCC
    "2001:2000::/19",  // RIPE NCC
    "2001:4000::/23",  // RIPE NCC
    "2001:4200::/23",  // AFRINIC
    "2001:4400::/23",  // APNIC
    "2001:4600::/23",  // RIPE NCC
    "2001:4800::/23",  // ARIN
    "2001:4a00::/23",  // RIPE NCC
    "2001:4c00::/23",  // RIPE NCC
    "2001:5000::/20",  // RIPE NCC
    "2001:8000::/19",  // APNIC
    "2001:a000::/20",  // APNIC
    "2001:b000::/20",  // APNIC
    "2002::/16",       // 6to4
    "2003::/18",       // RIPE NCC
    "2400::/12",       // APNIC
    "2410::/12",       // APNIC
    "2600::/12",       // ARIN
    "2610::/23",       // ARIN
    "2620::/23",       // ARIN
    "2630::/12",       // ARIN
    "2800::/12",       // LACNIC
    "2a00::/12",       // RIPE NCC
    "2a10::/12",       // RIPE NCC
    "2c00::/12",       // AFRINIC
};

constexpr char kNearest[] = "anycast: the nearest server answers, which may be the worker's own network's";
constexpr char kIdentifier[] = "identifiers, routed within overlay networks only";

constexpr ClosedBlock kClosedBesides[] = {
    {"224.0.0.0/4", "multicast (IPv4 Multicast Address Space Registry, RFC 5771)"},
    {"192.0.0.9/32", kNearest},
    {"192.0.0.10/32", kNearest},
    {"192.31.196.0/24", kNearest},
    {"192.52.193.0/24", kNearest},
    {"192.175.48.0/24", kNearest},
    {"2001:1::1/128", kNearest},
    {"2001:1::2/128", kNearest},
    {"2001:1::3/128", kNearest},
    {"2001:3::/32", kNearest},
    {"2001:4:112::/48", kNearest},
    {"2620:4f:8000::/48", kNearest},
    {"2001:20::/28", kIdentifier},
    {"2001:30::/28", kIdentifier},
    {"2001::/32", "Teredo: clients behind NATs, reached through relays of anyone"},
};

constexpr ClosedBlock kCloudPlatforms[] = {
    {"169.254.169.0/24",
     "metadata, name and time servers of AWS, Google, Azure, Oracle, OpenStack and others"},
    {"169.254.170.0/24", "AWS: credentials of ECS tasks and EKS pods"},
    {"169.254.0.23/32", "Tencent metadata"},
    {"169.254.10.10/32", "Tencent metadata"},
    {"169.254.42.42/32", "Scaleway metadata"},
    {"100.100.100.200/32", "Alibaba metadata"},
    {"168.63.129.16/32", "Azure wire server"},
    {"192.0.0.192/32", "Oracle Cloud Classic metadata"},
    {"fd00:ec2::/32", "AWS: metadata, credentials of pods, name and time servers"},
    {"fd20:ce::254/128", "Google metadata"},
    {"fd00:c1::a9fe:a9fe/128", "Oracle metadata"},
    {"fd00:42::42/128", "Scaleway metadata"},
    {"fd00:a9fe:a9fe::1/128", "Akamai metadata"},
    {"fd00:100::100:200/128", "Alibaba metadata"},
    {"fe80::a9fe:a9fe/128", "OpenStack metadata"},
};

}  // namespace

absl::Span<const SpecialBlock> SpecialPurposeV4() { return kSpecialV4; }

absl::Span<const SpecialBlock> SpecialPurposeV6() { return kSpecialV6; }

absl::Span<const char* const> AssignedV6() { return kAssignedV6; }

absl::Span<const ClosedBlock> ClosedBesides() { return kClosedBesides; }

absl::Span<const ClosedBlock> CloudPlatforms() { return kCloudPlatforms; }

}  // namespace imgfleet
