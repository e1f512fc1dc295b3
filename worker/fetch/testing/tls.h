// Certificates for tests, made on the spot: an authority, and server contexts it vouches for.
#pragma once

#include <openssl/ssl.h>

#include <string>

namespace imgfleet::fetch {

// A fresh authority with one key for everything. Not thread-safe.
class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  // A server for `name` ("DNS:a.example" or "IP:127.0.0.1"), signed by this authority or by itself, valid for
  // `valid_seconds` from now (negative: expired).
  SSL_CTX* Server(const std::string& name, bool self_signed = false, long valid_seconds = 3600);
  // The authority's certificate in a PEM file below TEST_TMPDIR.
  std::string PemFile() const;

 private:
  X509* Certify(const std::string& subject, const std::string& name, X509* issuer, long valid_seconds);

  EVP_PKEY* key_;
  X509* authority_;
};

}  // namespace imgfleet::fetch
