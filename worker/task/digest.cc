#include "worker/task/digest.h"

#include "common/log.h"

namespace imgfleet::task {
namespace {

// Looked up once: OpenSSL 3 takes a lock and some hundred nanoseconds for every lookup by name.
const EVP_MD* Algorithm() {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  IMGFLEET_CHECK(kAlgorithm != nullptr);
  return kAlgorithm;
}

}  // namespace

void Sha256::Start() {
  if (context_ == nullptr) context_.reset(EVP_MD_CTX_new());
  IMGFLEET_CHECK(context_ != nullptr && EVP_DigestInit_ex2(context_.get(), Algorithm(), nullptr) == 1);
}

void Sha256::Add(absl::string_view bytes) {
  IMGFLEET_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::Finish() {
  unsigned char digest[32];
  IMGFLEET_CHECK(EVP_DigestFinal_ex(context_.get(), digest, nullptr) == 1);
  return std::string(reinterpret_cast<const char*>(digest), sizeof(digest));
}

}  // namespace imgfleet::task
