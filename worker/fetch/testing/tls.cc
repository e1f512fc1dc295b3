#include "worker/fetch/testing/tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

#include "common/log.h"

namespace imgfleet::fetch {
namespace {

void Extend(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  IMGFLEET_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestAuthority::TestAuthority() : key_(EVP_EC_gen("P-256")) {
  authority_ = Certify("imgfleet test authority", "", nullptr, 3600);
}

TestAuthority::~TestAuthority() {
  X509_free(authority_);
  EVP_PKEY_free(key_);
}

X509* TestAuthority::Certify(const std::string& subject, const std::string& name, X509* issuer,
                             long valid_seconds) {
  static long serial = 1;
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate), valid_seconds);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer != nullptr ? issuer : certificate));
  X509_set_pubkey(certificate, key_);
  if (name.empty()) {
    Extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
  } else {
    Extend(certificate, NID_subject_alt_name, name);
  }
  IMGFLEET_CHECK(X509_sign(certificate, key_, EVP_sha256()) > 0);
  return certificate;
}

SSL_CTX* TestAuthority::Server(const std::string& name, bool self_signed, long valid_seconds) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  X509* certificate =
      Certify("imgfleet test server", name, self_signed ? nullptr : authority_, valid_seconds);
  IMGFLEET_CHECK(SSL_CTX_use_certificate(context, certificate) == 1 &&
                 SSL_CTX_use_PrivateKey(context, key_) == 1);
  X509_free(certificate);
  return context;
}

std::string TestAuthority::PemFile() const {
  const char* folder = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/authority.pem";
  FILE* file = std::fopen(path.c_str(), "w");
  IMGFLEET_CHECK(file != nullptr && PEM_write_X509(file, authority_) == 1);
  std::fclose(file);
  return path;
}

}  // namespace imgfleet::fetch
