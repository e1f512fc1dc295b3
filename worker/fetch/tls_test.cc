#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"
#include "worker/fetch/testing/tls.h"

namespace imgfleet::fetch {
namespace {

using Answer = ScriptedOrigin::Answer;

// Fetches https://images.example/ from a server that shows the certificate.
Report Fetch(SSL_CTX* certificate, const std::string& ca_file, int* requests = nullptr) {
  Report report;
  {
    ScriptedOrigin origin(
        [](const ScriptedOrigin::Request& request) {
          return Answer{ScriptedOrigin::Serve(request, std::string(50'000, 'x'))};
        },
        certificate);
    Options options = TestOptions();
    options.ca_file = ca_file;
    EXPECT_TRUE(options.host_map.Add(absl::StrCat("images.example=127.0.0.1:", origin.port())).ok());
    const auto engine = Engine::Create(options).value();
    report = Submit(*engine, "https://images.example/x").get();
    if (report.failure == Failure::kNone) {
      const Report again = Submit(*engine, "https://images.example/y").get();
      EXPECT_EQ(again.tls, absl::ZeroDuration());
      EXPECT_EQ(origin.connections(), 1);
    }
    if (requests != nullptr) *requests = origin.requests();
  }
  SSL_CTX_free(certificate);
  return report;
}

TEST(Tls, TrustsTheGivenAuthority) {
  TestAuthority authority;
  const Report report = Fetch(authority.Server("DNS:images.example"), authority.PemFile());
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.size_bytes, 50'000u);
  EXPECT_GT(report.tls, absl::ZeroDuration());
}

TEST(Tls, RefusesWhatCannotBeTrusted) {
  TestAuthority authority, stranger;
  const std::string trusted = authority.PemFile();
  for (SSL_CTX* certificate :
       {authority.Server("DNS:other.example"), authority.Server("DNS:images.example", true),
        authority.Server("DNS:images.example", false, -60), stranger.Server("DNS:images.example")}) {
    int requests = 0;
    const Report report = Fetch(certificate, trusted, &requests);
    EXPECT_EQ(report.failure, Failure::kTls) << report.message;
    EXPECT_FALSE(report.retryable);
    EXPECT_EQ(report.attempts, 1u);
    EXPECT_EQ(requests, 0);
  }
  EXPECT_EQ(Fetch(authority.Server("DNS:images.example"), "").failure, Failure::kTls);
}

// libcurl's handles are used again, and remember what the system said of an earlier request.
TEST(Tls, AResetBeforeIsNotTakenForThisFailure) {
  TestAuthority authority;
  SSL_CTX* const stranger = authority.Server("IP:127.0.0.1");
  SSL_CTX_set_max_proto_version(stranger, TLS1_2_VERSION);
  ASSERT_EQ(SSL_CTX_set_cipher_list(stranger, "ADH-AES128-SHA256:@SECLEVEL=0"),
            1);  // Which no client offers.
  {
    ScriptedOrigin resets([](const ScriptedOrigin::Request&) {
      return Answer{"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc", Answer::kReset};
    });
    ScriptedOrigin agrees_on_nothing([](const ScriptedOrigin::Request&) { return Answer{}; }, stranger);
    const auto engine = MakeEngine();
    Limits once;
    once.max_attempts = 1;
    const Report reset = Submit(*engine, resets.Url("/x"), 0, once).get();
    EXPECT_NE(reset.message.find("reset by peer"), std::string::npos) << reset.message;
    const Report report = Submit(*engine, agrees_on_nothing.Url("/x"), 0, once).get();
    EXPECT_EQ(report.failure, Failure::kTls) << report.message;
    EXPECT_NE(report.message.find("handshake failure"), std::string::npos) << report.message;
  }
  SSL_CTX_free(stranger);
}

}  // namespace
}  // namespace imgfleet::fetch
