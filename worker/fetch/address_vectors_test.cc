// Every vector of address_vectors.tsv against the engine as it ships, in a network in which every address answers.
// What counts is who was connected to: an address that a vector does not name as expected is a breach, whatever the
// report says. The report's reason is looked at as well, so that no vector passes for the wrong one.
//
// A row is KIND, what it tries, what is given, what is expected, with tabs between them. In what is given, \t, \n, \r,
// \xNN and a doubled backslash are as in C.
//
//   url       a URL
//   dns       the records of a name, which is then fetched
//   redirect  a Location, sent by a public origin, over http and over https
//   rebind    sets of records, one for each lookup; the name is fetched as often
//   mapped    what the operator maps a name to
//   opened    a block that the operator opens, and a URL
//
// Expected is blocked, bad_url, dns (there is no such name), or reached ADDRESS.
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/log.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/any_address.h"
#include "worker/fetch/testing/dns_server.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"
#include "worker/fetch/testing/tls.h"

namespace imgfleet::fetch {
namespace {

absl::Status& Entered() {
  static auto* entered = new absl::Status;
  return *entered;
}

constexpr char kPublic[] = "93.184.216.34", kPublic6[] = "2606:4700::34";

struct Vector {
  std::string kind, tries, given, expected;
};

std::string Unescape(absl::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      plain.push_back(text[i]);
      continue;
    }
    const char escape = text[++i];
    if (escape == 'x') {
      plain += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      plain.push_back(escape == 't' ? '\t' : escape == 'n' ? '\n' : escape == 'r' ? '\r' : escape);
    }
  }
  return plain;
}

const std::vector<Vector>& Vectors() {
  static const auto* vectors = [] {
    auto* read = new std::vector<Vector>;
    std::ifstream file("worker/fetch/address_vectors.tsv");
    for (std::string line; std::getline(file, line);) {
      if (absl::StartsWith(line, "#")) continue;
      const std::vector<std::string> fields = absl::StrSplit(line, '\t');
      IMGFLEET_CHECK(fields.size() == 4);
      read->push_back({fields[0], fields[1], Unescape(fields[2]), fields[3]});
    }
    return read;
  }();
  return *vectors;
}

// "A 1.2.3.4 AAAA ::1" as records.
std::vector<std::string> Records(absl::string_view text) {
  const std::vector<std::string> words = absl::StrSplit(text, ' ', absl::SkipEmpty());
  std::vector<std::string> records;
  for (size_t i = 0; i + 1 < words.size(); i += 2)
    records.push_back(absl::StrCat(words[i], " ", words[i + 1]));
  return records;
}

// The public origin. Its file, and redirects.
std::string Serve(const std::string& path) {
  static const std::string file(1000, 'x');
  size_t index;
  std::string location;
  if (path == "/to-inside") location = "http://10.0.0.1/";
  if (absl::StartsWith(path, "/to/") && absl::SimpleAtoi(path.substr(4), &index))
    location = Vectors()[index].given;
  if (location.empty()) return ScriptedOrigin::Http(200, {}, file);
  static const int statuses[] = {301, 302, 303, 307, 308};
  static std::atomic<int> turn{0};
  return ScriptedOrigin::Http(statuses[turn++ % 5], {absl::StrCat("Location: ", location)}, "");
}

std::string Word(Failure failure) {
  switch (failure) {
    case Failure::kNone:
      return "reached";
    case Failure::kBlockedAddress:
      return "blocked";
    case Failure::kBadUrl:
      return "bad_url";
    case Failure::kDns:
      return "dns";
    default:
      return absl::StrCat("failure ", static_cast<int>(failure));
  }
}

class AddressVectors : public testing::Test {
 protected:
  AddressVectors() {
    dns_.Set("good.example", kPublic);
    dns_.Set("xn--bcher-kva.example", kPublic);
    dns_.Set("good6.example", kPublic6);
    dns_.Set("inside.example", "10.0.0.1");
    dns_.Play("mixed.example", {{.records = Records("A 10.0.0.1 A 93.184.216.34 AAAA ::1")}});
    dns_.Play("alias.example", {{.records = Records("CNAME inside.example A 10.0.0.1")}});
  }

  void SetUp() override {
    if (!Entered().ok())
      GTEST_SKIP() << "this system allows no network namespace of one's own: " << Entered();
    http_.emplace(80, Serve);
    https_.emplace(443, Serve, tls_.get());
    other_.emplace(8080, Serve);
  }

  Options Shipped() const {
    Options options;  // Nothing opened.
    options.threads = 1;
    options.dns_servers = dns_.server();
    options.ca_file = authority_.PemFile();
    return options;
  }
  Watcher::Seen TakeAll() {
    Watcher::Seen all;
    for (auto* watcher : {&http_, &https_, &other_}) {
      const Watcher::Seen seen = (*watcher)->Take();
      all.connected.insert(all.connected.end(), seen.connected.begin(), seen.connected.end());
      all.asked.insert(all.asked.end(), seen.asked.begin(), seen.asked.end());
    }
    return all;
  }
  // Fetches, and compares who was connected to and what was reported with `expected`. `also` may be connected to.
  void Check(Engine& engine, const Vector& vector, const std::string& url, const std::string& expected,
             const std::vector<std::string>& also = {}) {
    TakeAll();
    const Limits limits{.attempt_timeout = absl::Seconds(10), .max_attempts = 1};
    const Report report = Submit(engine, url, 0, limits).get();
    const Watcher::Seen seen = TakeAll();
    const std::string context = absl::StrCat(vector.kind, " | ", vector.tries, " | ", absl::CEscape(url));
    const std::string address(absl::StripPrefix(expected, "reached "));
    for (const std::string& connected : seen.connected) {
      const bool fine = connected == address || std::count(also.begin(), also.end(), connected) > 0;
      EXPECT_TRUE(fine) << "BREACH: " << connected << " was connected to: " << context;
    }
    std::string got = Word(report.failure);
    const bool asked = std::count(seen.asked.begin(), seen.asked.end(), address) > 0;
    if (got == "reached") absl::StrAppend(&got, " ", asked ? address : "somebody else");
    EXPECT_EQ(got, expected) << context << ": " << report.message;
    ++checked_;
  }
  template <typename Function>
  void ForEach(const std::string& kind, Function function) {
    for (size_t i = 0; i < Vectors().size(); ++i) {
      if (Vectors()[i].kind == kind) function(Vectors()[i], i);
    }
    EXPECT_GT(checked_, 0);
    RecordProperty("vectors", checked_);
  }

  DnsServer dns_;
  TestAuthority authority_;
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> tls_{authority_.Server("DNS:good.example"),
                                                          SSL_CTX_free};
  std::optional<Watcher> http_, https_, other_;
  int checked_ = 0;
};

TEST_F(AddressVectors, Urls) {
  const auto engine = Engine::Create(Shipped()).value();
  ForEach("url",
          [&](const Vector& vector, size_t) { Check(*engine, vector, vector.given, vector.expected); });
}

TEST_F(AddressVectors, Names) {
  const auto engine = Engine::Create(Shipped()).value();
  ForEach("dns", [&](const Vector& vector, size_t index) {
    const std::string host = absl::StrCat("v", index, ".example");
    dns_.Play(host, {{.records = Records(vector.given)}});
    Check(*engine, vector, absl::StrCat("http://", host, "/"), vector.expected);
    Check(*engine, vector, absl::StrCat("http://", host, ":8080/"), vector.expected);
  });
}

TEST_F(AddressVectors, Redirects) {
  const auto engine = Engine::Create(Shipped()).value();
  ForEach("redirect", [&](const Vector& vector, size_t index) {
    for (const char* scheme : {"http", "https"}) {
      Check(*engine, vector, absl::StrCat(scheme, "://good.example/to/", index), vector.expected,
            {kPublic, kPublic6});
    }
  });
}

TEST_F(AddressVectors, Rebinding) {
  ShiftedClock clock;
  Options options = Shipped();
  options.clock = &clock;
  const auto engine = Engine::Create(options).value();
  ForEach("rebind", [&](const Vector& vector, size_t index) {
    const std::string host = absl::StrCat("v", index, ".example");
    std::vector<DnsServer::Reply> replies;
    for (absl::string_view records : absl::StrSplit(vector.given, '|')) {
      replies.push_back({.records = Records(records), .ttl = 0});
    }
    dns_.Play(host, replies);
    for (absl::string_view expected : absl::StrSplit(vector.expected, " | ")) {
      Check(*engine, vector, absl::StrCat("http://", host, "/"), std::string(expected));
      PutForward(&clock, engine.get(), 61);  // Beyond every answer's time, also that of one with no address.
    }
  });
}

TEST_F(AddressVectors, OperatorsMap) {
  ForEach("mapped", [&](const Vector& vector, size_t) {
    Options options = Shipped();
    ASSERT_TRUE(options.host_map.Add("mapped.example=" + vector.given).ok()) << vector.given;
    const auto engine = Engine::Create(options).value();
    Check(*engine, vector, "http://mapped.example/", vector.expected);
  });
}

TEST_F(AddressVectors, OperatorsOpenings) {
  ForEach("opened", [&](const Vector& vector, size_t) {
    const std::vector<std::string> words = absl::StrSplit(vector.given, ' ');
    Options options = Shipped();
    options.policy = AddressPolicy({Cidr::Parse(words[0]).value()});
    const auto engine = Engine::Create(options).value();
    Check(*engine, vector, words[1], vector.expected);
  });
}

// Proxies of the environment would take every request, and the policy with it, somewhere else.
TEST_F(AddressVectors, Proxies) {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"}) {
    setenv(name, "http://10.0.0.1:8080/", 1);
  }
  setenv("no_proxy", "", 1);
  const auto engine = Engine::Create(Shipped()).value();
  const Vector vector{"proxy", "proxies of the environment", "", ""};
  Check(*engine, vector, "http://good.example/", absl::StrCat("reached ", kPublic));
  Check(*engine, vector, "https://good.example/", absl::StrCat("reached ", kPublic));
  Check(*engine, vector, "http://10.0.0.1/", "blocked");
  for (const char* name :
       {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "no_proxy"}) {
    unsetenv(name);
  }
}

TEST_F(AddressVectors, ThereAreEnough) { EXPECT_GE(Vectors().size(), 400u); }

}  // namespace
}  // namespace imgfleet::fetch

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  imgfleet::fetch::Entered() = imgfleet::fetch::EnterAnyAddressNetwork();
  return RUN_ALL_TESTS();
}
