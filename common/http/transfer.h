// One request and its answer, without redirects: libcurl, driven by whoever waits for it.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/http/client.h"
#include "common/http/target.h"

namespace imgfleet::http {

// Not thread-safe; stays where it is, since libcurl points to it.
class Transfer final : public Response {
 public:
  // `target` is what request.url says.
  Transfer(const Client::Options& options, const Request& request, const Target& target);
  ~Transfer() override;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Looks up and judges, connects, and waits for the head.
  absl::Status Start();

  const Head& head() const override { return head_; }
  absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) override;

 private:
  absl::Status Route();
  absl::Status Judge(const IpAddress& address) const;
  void SetUp();
  // Goes on for a step. False: nothing happened in it.
  bool Step();
  bool Stopped() const { return request_.stopped && request_.stopped(); }
  absl::Status Failure() const;
  std::string Shown() const { return ShownUrl(request_.url); }

  static size_t OnHeader(char* data, size_t size, size_t count, void* self);
  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static curl_socket_t OnOpen(void* self, curlsocktype, curl_sockaddr* address);
  static int OnRequest(void* self, char* ip, char*, int, int);
  void TakeHeaderLine(absl::string_view line);

  const Client::Options options_;
  const Request request_;
  const Target target_;
  CURL* const handle_;
  CURLM* const multi_;
  curl_slist* sent_ = nullptr;
  curl_slist* route_ = nullptr;
  char error_[CURL_ERROR_SIZE] = "";

  Head head_;
  size_t head_bytes_ = 0;
  bool head_complete_ = false;
  std::string body_;         // Received and not read yet.
  uint64_t body_bytes_ = 0;  // In all.
  // Since so many bytes came last that it was no stall: what came, and what Read has waited.
  uint64_t window_bytes_ = 0;
  absl::Duration waited_;
  bool paused_ = false;
  std::optional<CURLcode> ended_;
  absl::Status refusal_;  // Why a callback has ended the transfer.
};

}  // namespace imgfleet::http
