#include "common/address_policy.h"

#include <random>
#include <string>
#include <vector>

#include "common/address_registry.h"
#include "gtest/gtest.h"

namespace imgfleet {
namespace {

bool Routable(const std::string& text) { return IsGloballyRoutable(IpAddress::Parse(text).value()); }

TEST(AddressPolicy, PublicAddressesPass) {
  for (const char* text : {"1.1.1.1",
                           "8.8.8.8",
                           "9.255.255.255",
                           "11.0.0.0",
                           "100.63.255.255",
                           "100.128.0.0",
                           "126.255.255.255",
                           "128.0.0.1",
                           "169.253.255.255",
                           "169.255.0.0",
                           "172.15.255.255",
                           "172.32.0.0",
                           "192.0.1.0",
                           "192.167.255.255",
                           "192.169.0.0",
                           "198.17.255.255",
                           "198.20.0.0",
                           "223.255.255.255",
                           "2001:4860:4860::8888",
                           "2606:4700::1111",
                           "2a00:1450::1",
                           "2400:cb00::1",
                           "2003::1",
                           "64:ff9b::808:808",
                           "2002:808:808::1",
                           "2606:4700::5efe:808:808"}) {
    EXPECT_TRUE(Routable(text)) << text;
  }
}

// Both ends of each block of the IANA special-purpose registries.
TEST(AddressPolicy, SpecialPurposeBlocksAreClosed) {
  for (const char* text : {"0.0.0.0",
                           "0.255.255.255",
                           "10.0.0.0",
                           "10.255.255.255",
                           "100.64.0.0",
                           "100.127.255.255",
                           "127.0.0.0",
                           "127.255.255.255",
                           "169.254.0.0",
                           "169.254.169.254",
                           "169.254.255.255",
                           "172.16.0.0",
                           "172.31.255.255",
                           "192.0.0.0",
                           "192.0.0.8",
                           "192.0.0.9",
                           "192.0.0.170",
                           "192.0.0.255",
                           "192.0.2.0",
                           "192.0.2.255",
                           "192.31.196.1",
                           "192.52.193.1",
                           "192.88.99.1",
                           "192.168.0.0",
                           "192.168.255.255",
                           "192.175.48.1",
                           "198.18.0.0",
                           "198.19.255.255",
                           "198.51.100.0",
                           "198.51.100.255",
                           "203.0.113.0",
                           "203.0.113.255",
                           "224.0.0.0",
                           "239.255.255.255",
                           "240.0.0.0",
                           "255.255.255.255",
                           "168.63.129.16",
                           "100.100.100.200",
                           "::",
                           "::1",
                           "64:ff9b:1::1",
                           "100::1",
                           "100:0:0:1::1",
                           "2001::1",
                           "2001:1::1",
                           "2001:2::1",
                           "2001:3::1",
                           "2001:4:112::1",
                           "2001:10::1",
                           "2001:20::1",
                           "2001:30::1",
                           "2001:db8::1",
                           "2620:4f:8000::1",
                           "3fff::1",
                           "5f00::1",
                           "fc00::1",
                           "fd00:ec2::254",
                           "fdff::1",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "ff02::1",
                           "ff0e::1",
                           "4000::1",
                           "2d00::1",
                           "2001:6000::1",
                           "3000::1",
                           "8000::1",
                           "e000::1"}) {
    EXPECT_FALSE(Routable(text)) << text;
  }
}

// The registries once more, in other words: what each row and each of our own additions comes to, both ends and the
// neighbours on either side. "-" where a neighbour is closed for a reason of its own.
TEST(AddressPolicy, EveryRowBothEndsAndNeighbours) {
  struct Row {
    const char *before, *first, *last, *behind;
  };
  for (const Row& row : std::vector<Row>{
           {"-", "0.0.0.0", "0.255.255.255", "1.0.0.0"},
           {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
           {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
           {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
           {"168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"},
           {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
           {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
           {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
           {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
           {"192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"},
           {"192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"},
           {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
           {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
           {"192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"},
           {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
           {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
           {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
           {"223.255.255.255", "224.0.0.0", "239.255.255.255", "-"},
           {"-", "240.0.0.0", "255.255.255.255", "-"},
           {"-", "::", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9b::100:0"},
           {"64:ff9b::dfff:ffff", "64:ff9b::e000:0", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
           {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::"},
           {"2001:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:1000::", "2001:11ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:1200::"},
           {"2001:4dff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:4e00::", "2001:4fff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:5000::"},
           {"2001:5fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:6000::", "2001:7fff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:8000::"},
           {"2001:bfff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:c000::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "-"},
           {"2003:3fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2003:4000::", "23ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2400::"},
           {"241f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2420::", "25ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2600::"},
           {"2610:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2610:200::", "261f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2620::"},
           {"2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
            "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::"},
           {"2620:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2620:200::", "262f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2630::"},
           {"263f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2640::", "27ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2800::"},
           {"280f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2810::", "29ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2a00::"},
           {"2a1f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2a20::", "2bff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2c00::"},
           {"2c0f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2c10::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "-"},
       }) {
    if (row.before[0] != '-') {
      EXPECT_TRUE(Routable(row.before)) << row.before;
    }
    EXPECT_FALSE(Routable(row.first)) << row.first;
    EXPECT_FALSE(Routable(row.last)) << row.last;
    if (row.behind[0] != '-') {
      EXPECT_TRUE(Routable(row.behind)) << row.behind;
    }
  }
}

// The tables read by another way: a row at a time, longest prefix last.
bool OpenByTables(const IpAddress& v4) {
  bool open = true;
  int longest = -1;
  for (const SpecialBlock& row : SpecialPurposeV4()) {
    const Cidr block = Cidr::Parse(row.block).value();
    if (!block.Contains(v4) || block.prefix() < longest) continue;
    longest = block.prefix();
    open = row.reachable == SpecialBlock::kYes;
  }
  for (const auto& table : {ClosedBesides(), CloudPlatforms()}) {
    for (const ClosedBlock& row : table) open = open && !Cidr::Parse(row.block).value().Contains(v4);
  }
  return open;
}

TEST(AddressPolicy, AgreesWithTheTablesOnRandomAddresses) {
  std::mt19937 random(1);
  for (int i = 0; i < 50'000; ++i) {
    const IpAddress address = IpAddress::V4(random());
    EXPECT_EQ(IsGloballyRoutable(address), OpenByTables(address)) << address.ToString();
  }
}

TEST(AddressPolicy, AgreesWithTheTablesAtTheEdgesOfEveryBlock) {
  std::vector<Cidr> blocks = {Cidr::Parse("0.0.0.0/0").value()};
  for (const SpecialBlock& row : SpecialPurposeV4()) blocks.push_back(Cidr::Parse(row.block).value());
  for (const auto& table : {ClosedBesides(), CloudPlatforms()}) {
    for (const ClosedBlock& row : table) blocks.push_back(Cidr::Parse(row.block).value());
  }
  for (const Cidr& block : blocks) {
    if (!block.base().is_v4()) continue;
    uint32_t first = 0;
    for (int i = 0; i < 4; ++i) first = first << 8 | block.base().bytes()[i];
    const uint32_t last = first + static_cast<uint32_t>((uint64_t{1} << (32 - block.prefix())) - 1);
    for (const uint32_t edge : {first - 1, first, last, last + 1}) {
      const IpAddress address = IpAddress::V4(edge);
      EXPECT_EQ(IsGloballyRoutable(address), OpenByTables(address)) << address.ToString();
    }
  }
}

TEST(AddressPolicy, TablesHoldEveryRowOfTheRegistries) {
  EXPECT_EQ(SpecialPurposeV4().size(), 26u);  // 25, one of which names two addresses.
  EXPECT_EQ(SpecialPurposeV6().size(), 24u);  // 25 with the mapped addresses, which are held as IPv4.
  EXPECT_EQ(AssignedV6().size(), 36u);        // Those that are allocated, not those held in reserve.
}

TEST(AddressPolicy, CloudPlatformsAreClosedAndOpenOnlyByName) {
  const AddressPolicy wide({Cidr::Parse("0.0.0.0/0").value(), Cidr::Parse("::/0").value()});
  for (const char* text :
       {"169.254.169.254",    "169.254.170.2",      "169.254.170.23",    "169.254.0.23",
        "169.254.10.10",      "169.254.42.42",      "100.100.100.200",   "168.63.129.16",
        "192.0.0.192",        "fd00:ec2::254",      "fd00:ec2::23",      "fd20:ce::254",
        "fd00:c1::a9fe:a9fe", "fd00:42::42",        "fd00:a9fe:a9fe::1", "fd00:100::100:200",
        "fe80::a9fe:a9fe",    "64:ff9b::a83f:8110", "2002:a83f:8110::1", "2606:4700::5efe:a83f:8110"}) {
    const IpAddress address = IpAddress::Parse(text).value();
    EXPECT_FALSE(IsGloballyRoutable(address)) << text;
    EXPECT_FALSE(wide.Allows(address)) << text;
    EXPECT_TRUE(AddressPolicy({Cidr::Parse(text).value()}).Allows(address)) << text;
  }
  EXPECT_TRUE(wide.Allows(IpAddress::Parse("169.254.1.1").value()));
  EXPECT_TRUE(wide.Allows(IpAddress::Parse("fd00::1").value()));
}

// What a closed IPv4 address hides in.
TEST(AddressPolicy, EmbeddedFormsAreJudgedByTheirInside) {
  for (const char* text : {"::ffff:127.0.0.1",        // mapped
                           "::ffff:169.254.169.254",  // mapped
                           "::ffff:0:127.0.0.1",      // SIIT
                           "::127.0.0.1",             // compatible
                           "::8.8.8.8",               // compatible, deprecated whatever it holds
                           "2002:7f00:1::1",          // 6to4 of 127.0.0.1
                           "2002:a9fe:a9fe::",        // 6to4 of 169.254.169.254
                           "2001:0:808:808::1",       // Teredo
                           "2001:0:808:808:0:ffff:f7f7:f7f7",
                           "64:ff9b::7f00:1",     // NAT64
                           "64:ff9b::a00:1",      // NAT64 of 10.0.0.1
                           "64:ff9b:1::808:808",  // local NAT64
                           "64:ff9b:1:808:8:800::",
                           "2606:4700::5efe:a00:1",  // ISATAP of 10.0.0.1
                           "2606:4700::200:5efe:7f00:1"}) {
    EXPECT_FALSE(Routable(text)) << text;
  }
  EXPECT_EQ(IpAddress::Parse("::ffff:1.2.3.4").value(), IpAddress::Parse("1.2.3.4").value());
  EXPECT_TRUE(Routable("::ffff:8.8.8.8"));
}

TEST(AddressPolicy, OperatorOpensMore) {
  const AddressPolicy policy({Cidr::Parse("127.0.0.0/8").value(), Cidr::Parse("fd00::/9").value()});
  EXPECT_TRUE(policy.Allows(IpAddress::Parse("127.1.2.3").value()));
  EXPECT_TRUE(policy.Allows(IpAddress::Parse("::ffff:127.0.0.1").value()));
  EXPECT_TRUE(policy.Allows(IpAddress::Parse("fd7f::1").value()));
  EXPECT_TRUE(policy.Allows(IpAddress::Parse("8.8.8.8").value()));
  EXPECT_FALSE(policy.Allows(IpAddress::Parse("fd80::1").value()));
  EXPECT_FALSE(policy.Allows(IpAddress::Parse("10.0.0.1").value()));
  EXPECT_FALSE(policy.Allows(IpAddress::Parse("64:ff9b::7f00:1").value()));
  EXPECT_FALSE(AddressPolicy().Allows(IpAddress::Parse("127.0.0.1").value()));
}

// A block of IPv6 opens no IPv4 address inside that is closed itself, unless it names a part of it.
TEST(AddressPolicy, OpenedBlocksJudgeTheInside) {
  struct Case {
    const char* opened;
    std::vector<const char*> passes, stays_closed;
  };
  for (const Case& c : std::vector<Case>{
           {"64:ff9b::/96", {"64:ff9b::808:808"}, {"64:ff9b::a00:1", "64:ff9b::7f00:1"}},
           {"64:ff9b::a00:0/104", {"64:ff9b::a00:1"}, {"64:ff9b::7f00:1"}},
           {"64:ff9b:1::/48",
            {"64:ff9b:1:808:8:800::"},
            {"64:ff9b:1:a00:0:100::", "64:ff9b:1::808:808", "64:ff9b:1:808:8:800:a00:1",
             "64:ff9b:1:808:108:800::"}},
           {"64:ff9b:1:100::/56",
            {"64:ff9b:1:108:8:808::"},
            {"64:ff9b:1:10a::100:0:0", "64:ff9b:1:108:8:808:1::", "64:ff9b:1:208:8:808::"}},
           {"64:ff9b:1:1::/64",
            {"64:ff9b:1:1:8:808:800:0"},
            {"64:ff9b:1:1:a:0:100:0", "64:ff9b:1:1:8:808:800:1"}},
           {"64:ff9b:1:1::/96", {"64:ff9b:1:1::808:808"}, {"64:ff9b:1:1::a00:1", "64:ff9b:1:1::"}},
           {"2002::/16", {"2002:808:808::1"}, {"2002:a00:1::1"}},
           {"2002:a00::/24", {"2002:a00:1::1"}, {"2002:c0a8:1::1"}},
           {"2001::/32",
            {"2001:0:808:808:0:ffff:f7f7:f7f7"},
            {"2001:0:a00:1:0:ffff:f7f7:f7f7",    // server 10.0.0.1
             "2001:0:808:808:0:ffff:f5ff:fffe",  // client 10.0.0.1
             "2001:0:808:808:0:ffff:80ff:fffe"}},
           {"::/96", {"::8.8.8.8"}, {"::10.0.0.1", "::1"}},
           {"::ffff:0:0:0/96", {"::ffff:0:8.8.8.8"}, {"::ffff:0:10.0.0.1"}},
           {"fd00::/8", {"fd00::1", "fd00::5efe:808:808"}, {"fd00::5efe:a00:1", "fd00::200:5efe:7f00:1"}},
       }) {
    const AddressPolicy policy({Cidr::Parse(c.opened).value()});
    for (const char* text : c.passes) {
      EXPECT_TRUE(policy.Allows(IpAddress::Parse(text).value())) << c.opened << " " << text;
    }
    for (const char* text : c.stays_closed) {
      EXPECT_FALSE(policy.Allows(IpAddress::Parse(text).value())) << c.opened << " " << text;
    }
  }
  // With the IPv4 block open as well, the inside passes.
  const AddressPolicy both({Cidr::Parse("64:ff9b:1:1::/96").value(), Cidr::Parse("10.0.0.0/8").value()});
  EXPECT_TRUE(both.Allows(IpAddress::Parse("64:ff9b:1:1::a00:1").value()));
  EXPECT_FALSE(both.Allows(IpAddress::Parse("64:ff9b:1:1::a9fe:a9fe").value()));
}

TEST(AddressPolicy, ParsesStrictly) {
  for (const char* text : {"", "1.2.3", "1.2.3.04", "0x7f.0.0.1", "2130706433", "1.2.3.4 ", "[::1]",
                           "fe80::1%eth0", "localhost", "1.2.3.4.5", ":::"}) {
    EXPECT_FALSE(IpAddress::Parse(text).ok()) << text;
  }
  EXPECT_FALSE(IpAddress::Parse(absl::string_view("::1\0x", 5)).ok());
  EXPECT_EQ(IpAddress::Parse("2001:DB8::1").value().ToString(), "2001:db8::1");
}

TEST(Cidr, RefusesWhatIsNoBlock) {
  for (const char* text : {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/8\n",
                           "10.0.0.0/", "10.1.2.3/8", "::/129", "10/8", "fd00::1/8"}) {
    EXPECT_FALSE(Cidr::Parse(text).ok()) << text;
  }
  EXPECT_TRUE(Cidr::Parse("10.1.2.3").value().Contains(IpAddress::Parse("10.1.2.3").value()));
  EXPECT_FALSE(Cidr::Parse("10.1.2.3").value().Contains(IpAddress::Parse("10.1.2.4").value()));
  EXPECT_TRUE(Cidr::Parse("0.0.0.0/0").value().Contains(IpAddress::Parse("127.0.0.1").value()));
}

}  // namespace
}  // namespace imgfleet
