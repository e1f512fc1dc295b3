// Prints the blocks that a worker's address policy lets through without --allow-address, one a line, as few as there are:
// what the network policies of k8s/ are compared with.
//
// A block is halved until no row of the registries, nor one of them inside an IPv6 address, lies within it: then the policy
// says the same of all its addresses, and one is asked. ISATAP, an IPv4 address in the last half of any IPv6 one, is left out:
// no list of blocks can say it.
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/address_policy.h"
#include "common/address_registry.h"
#include "common/log.h"

namespace imgfleet {
namespace {

// The first address of a block, and its length.
struct Block {
  std::array<uint8_t, 16> base{};
  int prefix = 0;
  bool v4 = false;

  int bits() const { return v4 ? 32 : 128; }
  bool Contains(const Block& other) const {
    if (v4 != other.v4 || other.prefix < prefix) return false;
    for (int bit = 0; bit < prefix; ++bit) {
      if (At(bit) != other.At(bit)) return false;
    }
    return true;
  }
  bool At(int bit) const { return base[bit / 8] >> (7 - bit % 8) & 1; }
  Block Half(bool upper) const {
    Block half = *this;
    if (upper) half.base[prefix / 8] |= 0x80 >> prefix % 8;
    ++half.prefix;
    return half;
  }
  IpAddress First() const {
    if (!v4) return IpAddress::V6(base);
    return IpAddress::V4(uint32_t{base[0]} << 24 | uint32_t{base[1]} << 16 | uint32_t{base[2]} << 8 |
                         base[3]);
  }
  IpAddress Last() const {
    Block last = *this;
    for (int bit = prefix; bit < bits(); ++bit) last.base[bit / 8] |= 0x80 >> bit % 8;
    return last.First();
  }
};

Block Parsed(const char* text) {
  const absl::StatusOr<Cidr> cidr = Cidr::Parse(text);
  IMGFLEET_CHECK(cidr.ok());
  return {cidr->base().bytes(), cidr->prefix(), cidr->base().is_v4()};
}

// An IPv4 block as it looks from byte `offset` of the IPv6 addresses that begin as `outer`.
Block Inside(const char* outer, int offset, const Block& v4) {
  Block block = Parsed(outer);
  for (int i = 0; i < 4; ++i) block.base[offset + i] = v4.base[i];
  block.prefix = offset * 8 + v4.prefix;
  return block;
}

std::vector<Block> Rows() {
  std::vector<Block> rows;
  for (const SpecialBlock& row : SpecialPurposeV4()) rows.push_back(Parsed(row.block));
  for (const SpecialBlock& row : SpecialPurposeV6()) rows.push_back(Parsed(row.block));
  for (const char* block : AssignedV6()) rows.push_back(Parsed(block));
  for (const ClosedBlock& row : ClosedBesides()) rows.push_back(Parsed(row.block));
  for (const ClosedBlock& row : CloudPlatforms()) rows.push_back(Parsed(row.block));
  for (size_t i = 0, written = rows.size(); i < written; ++i) {
    if (!rows[i].v4) continue;
    rows.push_back(Inside("64:ff9b::/96", 12, rows[i]));
    rows.push_back(Inside("2002::/16", 2, rows[i]));
  }
  return rows;
}

class Printer {
 public:
  // Whether all of the block is let through; where only a part is, that has been printed.
  bool Visit(const Block& block) const {
    bool uniform = true;
    for (const Block& row : rows_) uniform = uniform && (row.Contains(block) || !block.Contains(row));
    if (uniform) {
      const bool allowed = policy_.Allows(block.First());
      IMGFLEET_CHECK(allowed == policy_.Allows(block.Last()));
      return allowed;
    }
    const Block lower = block.Half(false), upper = block.Half(true);
    const bool lower_whole = Visit(lower), upper_whole = Visit(upper);
    if (lower_whole && upper_whole) return true;
    if (lower_whole) Print(lower);
    if (upper_whole) Print(upper);
    return false;
  }

  static void Print(const Block& block) {
    std::puts(absl::StrCat(block.First().ToString(), "/", block.prefix).c_str());
  }

 private:
  const AddressPolicy policy_;
  const std::vector<Block> rows_ = Rows();
};

}  // namespace
}  // namespace imgfleet

int main() {
  const imgfleet::Printer printer;
  imgfleet::Block v4;
  v4.v4 = true;
  for (const imgfleet::Block& all : {v4, imgfleet::Block()}) {
    if (printer.Visit(all)) imgfleet::Printer::Print(all);
  }
}
