#include "common/address_policy.h"

#include <string>
#include <vector>

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
                           "64:ff9b::7f00:1",         // NAT64
                           "64:ff9b::a00:1",          // NAT64 of 10.0.0.1
                           "64:ff9b:1::808:808",      // local NAT64
                           "2606:4700::5efe:a00:1",   // ISATAP of 10.0.0.1
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

TEST(AddressPolicy, ParsesStrictly) {
  for (const char* text : {"", "1.2.3", "1.2.3.04", "0x7f.0.0.1", "2130706433", "1.2.3.4 ", "[::1]",
                           "fe80::1%eth0", "localhost", "1.2.3.4.5", ":::"}) {
    EXPECT_FALSE(IpAddress::Parse(text).ok()) << text;
  }
  EXPECT_EQ(IpAddress::Parse("2001:DB8::1").value().ToString(), "2001:db8::1");
}

TEST(Cidr, RefusesWhatIsNoBlock) {
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.1.2.3/8", "::/129", "10/8", "fd00::1/8"}) {
    EXPECT_FALSE(Cidr::Parse(text).ok()) << text;
  }
  EXPECT_TRUE(Cidr::Parse("10.1.2.3").value().Contains(IpAddress::Parse("10.1.2.3").value()));
  EXPECT_FALSE(Cidr::Parse("10.1.2.3").value().Contains(IpAddress::Parse("10.1.2.4").value()));
  EXPECT_TRUE(Cidr::Parse("0.0.0.0/0").value().Contains(IpAddress::Parse("127.0.0.1").value()));
}

}  // namespace
}  // namespace imgfleet
