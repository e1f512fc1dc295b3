// The one-shot client against scripted servers, and against every address vector that the fetch engine is held to, in a
// network in which every address answers.
#include "common/http/client.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/any_address.h"
#include "worker/fetch/testing/dns_server.h"
#include "worker/fetch/testing/scripted_origin.h"
#include "worker/fetch/testing/tls.h"

namespace imgfleet::http {
namespace {

using fetch::DnsServer;
using fetch::ScriptedOrigin;
using Answer = ScriptedOrigin::Answer;

Client::Options Open() {
  Client::Options options;
  options.policy = AddressPolicy({*Cidr::Parse("127.0.0.0/8")});
  return options;
}

absl::StatusOr<std::string> Get(const Client& client, const std::string& url,
                                uint64_t max_bytes = UINT64_MAX) {
  auto response = client.Send({.url = url, .max_body_bytes = max_bytes});
  if (!response.ok()) return response.status();
  return ReadAll(**response);
}

TEST(Client, ReadsAHeadAndABody) {
  ScriptedOrigin origin(
      [](const auto&) { return Answer{ScriptedOrigin::Http(200, {"ETag: \"v1\""}, "hello")}; });
  const Client client(Open());
  const auto response = client.Send({.url = origin.Url("/a?b=%20c"),
                                     .headers = {{"Range", "bytes=0-"}},
                                     .secrets = {{"Authorization", "Bearer x"}}});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ((*response)->head().status, 200);
  EXPECT_EQ((*response)->head().Find("etag"), "\"v1\"");
  EXPECT_TRUE((*response)->head().has_end);
  EXPECT_EQ(*ReadAll(**response), "hello");
  const auto request = origin.log().at(0);
  EXPECT_EQ(request.path, "/a?b=%20c");
  EXPECT_TRUE(absl::StrContains(request.head, "Authorization: Bearer x\r\n")) << request.head;
  EXPECT_TRUE(absl::StrContains(request.head, "Accept-Encoding: identity\r\n")) << request.head;
}

TEST(Client, ABodyThatBreaksOffIsNoShortBody) {
  ScriptedOrigin origin([](const auto& request) {
    if (request.path == "/length")
      return Answer{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Answer::kClose};
    if (request.path == "/chunks")
      return Answer{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Answer::kClose};
    return Answer{"HTTP/1.1 200 OK\r\n\r\nhello", Answer::kClose};
  });
  const Client client(Open());
  for (const char* path : {"/length", "/chunks"}) {
    EXPECT_EQ(Get(client, origin.Url(path)).status().code(), absl::StatusCode::kUnavailable) << path;
  }
  EXPECT_FALSE((*client.Send({.url = origin.Url("/unknown")}))->head().has_end);
}

TEST(Client, ASilentServerIsLeft) {
  ScriptedOrigin origin([](const auto& request) {
    if (request.path == "/head") return Answer{"HTTP/1.1 200 OK\r\n", Answer::kHang};
    return Answer{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Answer::kHang};
  });
  Client::Options options = Open();
  options.connect_timeout = options.stall_timeout = absl::Milliseconds(200);
  const Client client(options);
  EXPECT_EQ(Get(client, origin.Url("/head")).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Get(client, origin.Url("/body")).status().code(), absl::StatusCode::kUnavailable);
  std::atomic<int> asked{0};
  const auto response =
      Client(Open()).Send({.url = origin.Url("/body"), .stopped = [&] { return ++asked > 3; }});
  const auto body = response.ok() ? ReadAll(**response) : response.status();
  EXPECT_EQ(body.status().code(), absl::StatusCode::kCancelled);
}

TEST(Client, HoldsBackTheServerAndCountsBytes) {
  const std::string large(8 << 20, 'x');
  ScriptedOrigin origin([&](const auto&) { return Answer{ScriptedOrigin::Http(200, {}, large)}; });
  const Client client(Open());
  const auto response = client.Send({.url = origin.Url("/large")});
  size_t got = 0, largest = 0;
  for (;;) {
    const auto piece = (*response)->Read(absl::Seconds(1));
    ASSERT_TRUE(piece.ok()) << piece.status();
    if (!piece->has_value()) continue;
    if ((*piece)->empty()) break;
    got += (*piece)->size();
    largest = std::max(largest, (*piece)->size());
  }
  EXPECT_EQ(got, large.size());
  EXPECT_LE(largest, 600u << 10);
  EXPECT_EQ(Get(client, origin.Url("/large"), 1 << 20).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Client, FollowsRedirectsByHand) {
  ScriptedOrigin other([](const auto&) { return Answer{ScriptedOrigin::Http(200, {}, "there")}; });
  ScriptedOrigin origin([&](const auto& request) {
    if (request.path == "/away")
      return Answer{ScriptedOrigin::Http(307, {"Location: " + other.Url("/x")}, "")};
    if (request.path == "/file")
      return Answer{ScriptedOrigin::Http(302, {"Location: file:///etc/passwd"}, "")};
    if (request.path == "/end") return Answer{ScriptedOrigin::Http(200, {}, "end")};
    if (request.path == "/r5") return Answer{ScriptedOrigin::Http(301, {"Location: end"}, "")};
    const std::string next = request.path == "/r" ? "r1" : absl::StrCat("r", request.path.at(2) - '0' + 1);
    return Answer{ScriptedOrigin::Http(301, {"Location: " + next}, "")};
  });
  const Client client(Open());
  EXPECT_EQ(*Get(client, origin.Url("/r1")), "end");  // Five of them.
  EXPECT_EQ(Get(client, origin.Url("/r")).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Get(client, origin.Url("/file")).status().code(), absl::StatusCode::kInvalidArgument);
  const auto away = client.Send({.url = origin.Url("/away"), .secrets = {{"Authorization", "Bearer x"}}});
  EXPECT_EQ(*ReadAll(**away), "there");
  EXPECT_FALSE(absl::StrContains(other.log().at(0).head, "Authorization"));
  const auto posted = client.Send({.method = "POST", .url = origin.Url("/away"), .body = "x"});
  EXPECT_EQ((*posted)->head().status, 307);
}

TEST(Client, MessagesKeepSecrets) {
  EXPECT_EQ(ShownUrl("https://u:p@h:1/a/b.tsv?X-Amz-Signature=s#f"), "https://h:1/a/b.tsv");
  const Client client(Open());
  const auto refused = Get(client, "http://name:secret@h/x");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(absl::StrContains(refused.status().message(), "secret"));
  const auto closed = Get(client, "http://127.0.0.1:1/?secret");
  EXPECT_EQ(closed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(absl::StrContains(closed.status().message(), "secret")) << closed.status();
}

absl::Status& Entered() {
  static auto* entered = new absl::Status;
  return *entered;
}

struct Vector {
  std::string kind, tries, given, expected;
};

// As in C, but \\x has two digits.
std::string Unescape(absl::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const char escape = text[i] == '\\' ? text[++i] : '\0';
    if (escape == 'x') {
      plain += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      plain.push_back(escape == 't' ? '\t' : escape == 'n' ? '\n' : escape == 'r' ? '\r' : text[i]);
    }
  }
  return plain;
}

std::vector<Vector> ReadVectors() {
  std::vector<Vector> vectors;
  std::ifstream file("worker/fetch/address_vectors.tsv");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    if (absl::StartsWith(line, "#") || fields.size() != 4) continue;
    vectors.push_back({fields[0], fields[1], Unescape(fields[2]), fields[3]});
  }
  return vectors;
}

std::vector<std::string> Records(absl::string_view text) {
  const std::vector<std::string> words = absl::StrSplit(text, ' ', absl::SkipEmpty());
  std::vector<std::string> records;
  for (size_t i = 0; i + 1 < words.size(); i += 2)
    records.push_back(absl::StrCat(words[i], " ", words[i + 1]));
  return records;
}

class AddressVectors : public testing::Test {
 protected:
  void SetUp() override {
    if (!Entered().ok())
      GTEST_SKIP() << "this system allows no network namespace of one's own: " << Entered();
    dns_.Set("good.example", "93.184.216.34");
    dns_.Set("xn--bcher-kva.example", "93.184.216.34");
    dns_.Set("good6.example", "2606:4700::34");
    dns_.Set("inside.example", "10.0.0.1");
    dns_.Play("mixed.example", {{.records = Records("A 10.0.0.1 A 93.184.216.34 AAAA ::1")}});
    dns_.Play("alias.example", {{.records = Records("CNAME inside.example A 10.0.0.1")}});
  }

  std::string Serve(const std::string& path) const {
    size_t index;
    std::string location;
    if (path == "/to-inside") location = "http://10.0.0.1/";
    if (absl::StartsWith(path, "/to/") && absl::SimpleAtoi(path.substr(4), &index))
      location = vectors_[index].given;
    if (location.empty()) return ScriptedOrigin::Http(200, {}, "reached");
    return ScriptedOrigin::Http(302, {"Location: " + location}, "");
  }

  Client::Options Shipped() const {
    Client::Options options;  // Nothing opened.
    options.dns_servers = dns_.server();
    options.ca_file = authority_.PemFile();
    options.connect_timeout = options.stall_timeout = absl::Seconds(2);
    return options;
  }

  void Check(const Client& client, const Vector& vector, const std::string& url, const std::string& expected,
             const std::vector<std::string>& also = {}) {
    fetch::Watcher* const watchers[] = {&http_, &https_, &other_};
    for (fetch::Watcher* watcher : watchers) watcher->Take();
    const auto body = Get(client, url);
    const std::string context = absl::StrCat(vector.kind, " | ", vector.tries, " | ", absl::CEscape(url));
    const std::string address(absl::StripPrefix(expected, "reached "));
    bool asked = false;
    for (fetch::Watcher* watcher : watchers) {
      const auto seen = watcher->Take();
      for (const std::string& connected : seen.connected) {
        const bool fine = connected == address || std::count(also.begin(), also.end(), connected) > 0;
        EXPECT_TRUE(fine) << "BREACH: " << connected << " was connected to: " << context;
      }
      asked |= std::count(seen.asked.begin(), seen.asked.end(), address) > 0;
    }
    // Here, unlike in a list of images, a URL with a user is refused whatever its address is.
    if (absl::StrContains(body.status().message(), "holds a user")) return;
    EXPECT_EQ(body.ok(), absl::StartsWith(expected, "reached")) << context << ": " << body.status();
    EXPECT_EQ(body.ok(), asked) << context;
    if (expected == "blocked") {
      EXPECT_EQ(body.status().code(), absl::StatusCode::kPermissionDenied) << context << body.status();
    }
  }

  const std::vector<Vector> vectors_ = ReadVectors();
  DnsServer dns_;
  fetch::TestAuthority authority_;
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> tls_{authority_.Server("DNS:good.example"),
                                                          SSL_CTX_free};
  const fetch::Watcher::Script serve_ = [this](const std::string& path) { return Serve(path); };
  fetch::Watcher http_{80, serve_}, https_{443, serve_, tls_.get()}, other_{8080, serve_};
};

TEST_F(AddressVectors, NoAddressInsideIsReached) {
  const Client shipped(Shipped());
  int checked = 0;
  for (size_t i = 0; i < vectors_.size(); ++i, ++checked) {
    const Vector& vector = vectors_[i];
    const std::string host = absl::StrCat("v", i, ".example");
    if (vector.kind == "url") {
      Check(shipped, vector, vector.given, vector.expected);
    } else if (vector.kind == "dns") {
      dns_.Play(host, {{.records = Records(vector.given)}});
      Check(shipped, vector, absl::StrCat("http://", host, "/"), vector.expected);
    } else if (vector.kind == "redirect") {
      for (const char* scheme : {"http", "https"}) {
        Check(shipped, vector, absl::StrCat(scheme, "://good.example/to/", i), vector.expected,
              {"93.184.216.34", "2606:4700::34"});
      }
    } else if (vector.kind == "rebind") {
      std::vector<DnsServer::Reply> replies;
      for (absl::string_view records : absl::StrSplit(vector.given, '|')) {
        replies.push_back({.records = Records(records), .ttl = 0});
      }
      dns_.Play(host, replies);
      for (absl::string_view expected : absl::StrSplit(vector.expected, " | ")) {
        Check(shipped, vector, absl::StrCat("http://", host, "/"), std::string(expected));
      }
    } else if (vector.kind == "mapped") {
      Client::Options options = Shipped();
      ASSERT_TRUE(options.host_map.Add("mapped.example=" + vector.given).ok());
      Check(Client(options), vector, "http://mapped.example/", vector.expected);
    } else if (vector.kind == "opened") {
      const std::vector<std::string> words = absl::StrSplit(vector.given, ' ');
      Client::Options options = Shipped();
      options.policy = AddressPolicy({*Cidr::Parse(words[0])});
      Check(Client(options), vector, words[1], vector.expected);
    }
  }
  EXPECT_GE(checked, 400);
}

TEST_F(AddressVectors, ProxiesOfTheEnvironmentAreIgnored) {
  const char* const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"};
  for (const char* name : names) setenv(name, "http://10.0.0.1:8080/", 1);
  Check(Client(Shipped()), {"proxy", "", "", ""}, "http://good.example/", "reached 93.184.216.34");
  Check(Client(Shipped()), {"proxy", "", "", ""}, "https://good.example/", "reached 93.184.216.34");
  for (const char* name : names) unsetenv(name);
}

TEST_F(AddressVectors, ACertificateOfAnotherNameIsRefused) {
  Client::Options options = Shipped();
  EXPECT_EQ(Get(Client(options), "https://good6.example/").status().code(),
            absl::StatusCode::kFailedPrecondition);
  options.ca_file.clear();
  EXPECT_EQ(Get(Client(options), "https://good.example/").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// What stands for the system's holds the authority, and the file those that the system has.
TEST_F(AddressVectors, AFileOfAuthoritiesIsTrustedBesidesTheSystems) {
  Client::Options options = Shipped();
  const std::string pem = options.ca_file;
  FILE* const file = fopen(pem.c_str(), "r");
  ASSERT_NE(file, nullptr);
  X509* const authority = PEM_read_X509(file, nullptr, nullptr, nullptr);
  fclose(file);
  options.ca_folder = absl::StrCat(testing::TempDir(), "/authorities");
  ASSERT_EQ(mkdir(options.ca_folder.c_str(), 0700), 0);
  std::ofstream(absl::StrCat(options.ca_folder, "/",
                             absl::Hex(X509_subject_name_hash(authority), absl::kZeroPad8), ".0"))
      << std::ifstream(pem).rdbuf();
  X509_free(authority);
  options.ca_file = "/etc/ssl/certs/ca-certificates.crt";
  EXPECT_EQ(*Get(Client(options), "https://good.example/"), "reached");
  options.ca_folder = testing::TempDir();
  EXPECT_EQ(Get(Client(options), "https://good.example/").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace imgfleet::http

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  imgfleet::http::Entered() = imgfleet::fetch::EnterAnyAddressNetwork();
  return RUN_ALL_TESTS();
}
