// SHA-256 of a body as it streams by: OpenSSL's, which uses the processor's own instructions where it has them.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace imgfleet::task {

// Not thread-safe.
class Sha256 {
 public:
  // Begins, or begins anew.
  void Start();
  void Add(absl::string_view bytes);
  // The 32 bytes; nothing may be added after.
  std::string Finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace imgfleet::task
