#include "common/s3/sigv4.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace imgfleet::s3 {
namespace {

std::string Encode(absl::string_view text, bool keep_slash) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || (keep_slash && c == '/')) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

std::string Hmac(absl::string_view key, absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return std::string(reinterpret_cast<char*>(digest), size);
}

}  // namespace

std::string EncodePath(absl::string_view path) { return Encode(path, true); }

std::string Sha256Hex(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
}

http::Headers Sign(const Signed& request, const Credential& credential, absl::string_view region,
                   absl::Time now) {
  const std::string date = absl::FormatTime("%Y%m%d", now, absl::UTCTimeZone());
  const std::string time = absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone());
  const std::string payload = request.payload_sha256.empty() ? Sha256Hex("") : request.payload_sha256;
  http::Headers added = {{"x-amz-content-sha256", payload}, {"x-amz-date", time}};
  if (!credential.session_token.empty()) added.emplace_back("x-amz-security-token", credential.session_token);

  std::map<std::string, std::string> headers = {{"host", request.host}};
  for (const http::Headers* some : {&request.headers, static_cast<const http::Headers*>(&added)}) {
    for (const auto& [name, value] : *some) {
      headers[absl::AsciiStrToLower(name)] = std::string(absl::StripAsciiWhitespace(value));
    }
  }
  std::string canonical_headers;
  std::vector<std::string> names;
  for (const auto& [name, value] : headers) {
    absl::StrAppend(&canonical_headers, name, ":", value, "\n");
    names.push_back(name);
  }
  std::vector<std::string> query;
  for (const auto& [name, value] : request.query)
    query.push_back(absl::StrCat(Encode(name, false), "=", Encode(value, false)));
  std::sort(query.begin(), query.end());

  const std::string signed_names = absl::StrJoin(names, ";");
  const std::string canonical =
      absl::StrCat(request.method, "\n", request.path, "\n", absl::StrJoin(query, "&"), "\n",
                   canonical_headers, "\n", signed_names, "\n", payload);
  const std::string scope = absl::StrCat(date, "/", region, "/s3/aws4_request");
  const std::string to_sign =
      absl::StrCat("AWS4-HMAC-SHA256\n", time, "\n", scope, "\n", Sha256Hex(canonical));
  const std::string key =
      Hmac(Hmac(Hmac(Hmac(absl::StrCat("AWS4", credential.secret_access_key), date), region), "s3"),
           "aws4_request");
  added.emplace_back("Authorization",
                     absl::StrCat("AWS4-HMAC-SHA256 Credential=", credential.access_key_id, "/", scope,
                                  ", SignedHeaders=", signed_names,
                                  ", Signature=", absl::BytesToHexString(Hmac(key, to_sign))));
  return added;
}

}  // namespace imgfleet::s3
