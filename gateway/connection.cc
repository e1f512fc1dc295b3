#include "gateway/connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/core/tcp_stream.hpp"
#include "boost/beast/http/parser.hpp"
#include "boost/beast/http/read.hpp"
#include "boost/beast/http/string_body.hpp"
#include "common/log.h"
#include "common/version.h"
#include "gateway/replies.h"

namespace imgfleet::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr auto kResult = asio::as_tuple(asio::use_awaitable);
constexpr absl::Duration kLookInterval = absl::Milliseconds(500);
constexpr absl::Duration kLinger = absl::Seconds(2);
// What a request may be on its way when the server stops.
constexpr absl::Duration kOnItsWay = absl::Seconds(1);

absl::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// A header value that came from elsewhere must not end its line.
void AppendHeader(absl::string_view name, absl::string_view value, std::string& out) {
  absl::StrAppend(&out, name, ": ");
  for (const char c : value) out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  out += "\r\n";
}

bool HasHeader(const Head& head, absl::string_view name) {
  for (const auto& [key, value] : head.headers) {
    if (absl::EqualsIgnoreCase(key, name)) return true;
  }
  return false;
}

class HttpConnection;

// The answer to the request that the connection is at.
class HttpResponse final : public Response {
 public:
  HttpResponse(HttpConnection& connection, bool head_only, bool http10, bool keep_alive)
      : connection_(connection), head_only_(head_only), http10_(http10), keep_alive_(keep_alive) {}

  Task<absl::Status> Send(Reply reply) override;
  Task<absl::Status> Begin(Head head) override;
  Task<absl::Status> Write(absl::string_view bytes) override;
  Task<absl::Status> End() override;
  ClientGone& client_gone() override { return gone_; }

  bool begun() const { return code_ != 0; }
  bool ended() const { return ended_; }
  bool keep_alive() const { return ended_ && keep_alive_; }
  bool http10() const { return http10_; }
  unsigned code() const { return code_; }
  uint64_t body_bytes() const { return body_bytes_; }

 private:
  std::string HeadText(const Head& head, absl::string_view framing);

  HttpConnection& connection_;
  const bool head_only_;
  const bool http10_;
  bool keep_alive_;
  unsigned code_ = 0;
  bool ended_ = false;
  uint64_t body_bytes_ = 0;
  ClientGone gone_;
};

class HttpConnection final : public Connection, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(asio::ip::tcp::socket socket, const ConnectionContext& context)
      : context_(context),
        stream_(std::move(socket)),
        look_(stream_.get_executor()),
        deadline_(stream_.get_executor()) {
    beast::error_code ignored;
    stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  }

  Task<void> Run() override;
  void Dismiss() override { dismissed_ = true; }
  void Drain() override {
    dismissed_ = draining_ = true;
    if (idle_) Arm(std::max(quiet_since_ + kOnItsWay - context_.clock.Boot(), absl::ZeroDuration()));
  }
  void Break() override {
    dismissed_ = draining_ = true;
    if (response_ != nullptr) response_->client_gone().Notify();
    stream_.close();
  }

  // All of the buffers, within the write timeout.
  template <typename Buffers>
  Task<absl::Status> WriteAll(const Buffers& buffers) {
    stream_.expires_after(absl::ToChronoNanoseconds(context_.limits.write_timeout));
    const auto [error, written] = co_await asio::async_write(stream_, buffers, kResult);
    stream_.expires_never();
    if (!error) co_return absl::OkStatus();
    if (response_ != nullptr) response_->client_gone().Notify();
    co_return absl::CancelledError(absl::StrCat("the client is gone: ", error.message()));
  }

  bool dismissed() const { return dismissed_; }
  const Clock& clock() const { return context_.clock; }

 private:
  using Parser = http::request_parser<http::string_body>;

  Task<bool> ServeOne();
  Task<bool> AwaitRequest();
  bool HasUnread();
  Task<bool> ReadRequest(Parser& parser);
  Task<beast::error_code> ReadWithContinue(Parser& parser);
  Task<void> Refuse(unsigned code, absl::string_view reason, absl::string_view detail);
  Task<void> Handle(const Router::Route& route, const Request& request, HttpResponse& response);
  void LookAfterClient();
  void Arm(absl::Duration timeout);
  void Disarm();
  void Count(const Router::Route& route, const Request& request, const HttpResponse& response,
             absl::Time began);
  Task<void> Linger();

  const ConnectionContext& context_;
  beast::tcp_stream stream_;
  asio::steady_timer look_;
  asio::steady_timer deadline_;
  uint64_t armed_ = 0;  // Which Arm is in force.
  bool late_ = false;   // It ran out.
  beast::flat_buffer buffer_;
  HttpResponse* response_ = nullptr;
  bool idle_ = false;       // Waits for a request,
  absl::Time quiet_since_;  // since then.
  bool dismissed_ = false;
  bool draining_ = false;
};

// --- HttpResponse

std::string HttpResponse::HeadText(const Head& head, absl::string_view framing) {
  code_ = head.code;
  keep_alive_ = keep_alive_ && !connection_.dismissed();
  std::string text = absl::StrCat("HTTP/1.1 ", head.code, " ", ReasonPhrase(head.code), "\r\n");
  AppendHeader(
      "Date",
      absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", connection_.clock().Wall(), absl::UTCTimeZone()), text);
  absl::StrAppend(&text, "Server: imgfleet/", kVersion, "\r\n");
  if (!head.content_type.empty()) AppendHeader("Content-Type", head.content_type, text);
  for (const auto& [name, value] : head.headers) AppendHeader(name, value, text);
  absl::StrAppend(&text, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n",
                  "Cross-Origin-Resource-Policy: same-origin\r\n");
  if (!HasHeader(head, "Content-Security-Policy")) {
    text += "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";
  }
  absl::StrAppend(&text, framing, "Connection: ", keep_alive_ ? "keep-alive" : "close", "\r\n\r\n");
  return text;
}

Task<absl::Status> HttpResponse::Send(Reply reply) {
  IMGFLEET_CHECK(!begun());
  // What says that there is nothing has no length.
  std::string framing;
  if (reply.head.code != 204) framing = absl::StrCat("Content-Length: ", reply.body.size(), "\r\n");
  const std::string head = HeadText(reply.head, framing);
  ended_ = true;
  if (head_only_) reply.body.clear();
  body_bytes_ = reply.body.size();
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(reply.body)};
  co_return co_await connection_.WriteAll(buffers);
}

Task<absl::Status> HttpResponse::Begin(Head head) {
  IMGFLEET_CHECK(!begun());
  // HTTP/1.0 knows no chunks: there the body ends with the connection.
  if (http10_) keep_alive_ = false;
  const std::string text = HeadText(head, http10_ ? "" : "Transfer-Encoding: chunked\r\n");
  co_return co_await connection_.WriteAll(asio::buffer(text));
}

Task<absl::Status> HttpResponse::Write(absl::string_view bytes) {
  IMGFLEET_CHECK(begun() && !ended_);
  if (head_only_ || bytes.empty()) co_return absl::OkStatus();
  body_bytes_ += bytes.size();
  const asio::const_buffer data(bytes.data(), bytes.size());
  if (http10_) co_return co_await connection_.WriteAll(data);
  const std::string size = absl::StrFormat("%x\r\n", bytes.size());
  const std::array<asio::const_buffer, 3> chunk = {asio::buffer(size), data, asio::buffer("\r\n", 2)};
  co_return co_await connection_.WriteAll(chunk);
}

Task<absl::Status> HttpResponse::End() {
  IMGFLEET_CHECK(begun() && !ended_);
  ended_ = true;
  if (head_only_ || http10_) co_return absl::OkStatus();
  co_return co_await connection_.WriteAll(asio::buffer("0\r\n\r\n", 5));
}

// --- HttpConnection

Task<void> HttpConnection::Run() {
  const auto self = shared_from_this();
  for (;;) {
    const bool more = co_await ServeOne();
    if (!more) break;
  }
  beast::error_code ignored;
  look_.cancel();
  Disarm();
  // What was pipelined behind an answer that said that it is the last (RFC 9112, 9.6).
  if (stream_.socket().is_open() && (buffer_.size() > 0 || HasUnread())) co_await Linger();
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  stream_.close();
}

// Whether another request may follow.
Task<bool> HttpConnection::ServeOne() {
  const bool asked = co_await AwaitRequest();
  if (!asked) co_return false;
  Parser parser;
  parser.header_limit(context_.limits.max_header_bytes);
  parser.body_limit(context_.limits.max_body_bytes);
  const bool whole = co_await ReadRequest(parser);
  if (!whole) co_return false;

  const auto& message = parser.get();
  Request request;
  request.method = std::string(View(message.method_string()));
  request.head = request.method == "HEAD";
  if (request.head) request.method = "GET";
  if (message.version() >= 11 && message.count(http::field::host) != 1) {
    co_await Refuse(400, "INVALID_ARGUMENT", "an HTTP/1.1 request has one Host header");
    co_return false;
  }
  if (!ParseTarget(View(message.target()), request)) {
    co_await Refuse(400, "INVALID_ARGUMENT", "the request's target is no path");
    co_return false;
  }
  request.accept = std::string(View(message[http::field::accept]));
  request.content_type = std::string(View(message[http::field::content_type]));
  request.fetch_site = std::string(View(message["Sec-Fetch-Site"]));
  request.idempotency_key = std::string(View(message["Idempotency-Key"]));
  request.body = std::move(parser.get().body());

  HttpResponse response(*this, request.head, message.version() < 11, message.keep_alive());
  response_ = &response;
  const absl::Cleanup forget = [this] {
    response_ = nullptr;
    look_.cancel();
  };
  LookAfterClient();
  const Router::Route& route = context_.router.Find(request);
  const absl::Time began = context_.clock.Boot();
  prometheus::Gauge& in_work = context_.metrics.Gauge(
      "imgfleet_gateway_requests_in_work", "Requests being answered now.", {{"route", route.name}});
  in_work.Increment();
  co_await Handle(route, request, response);
  in_work.Decrement();
  Count(route, request, response, began);
  if (!response.ended() && response.http10() && response.begun()) {
    // Only a reset tells a client without chunks that this was not all.
    beast::error_code ignored;
    stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
    stream_.close();
  }
  co_return response.keep_alive() && stream_.socket().is_open();
}

// Whether there is something to read; false: the client has left, was idle for too long, or the server stops.
Task<bool> HttpConnection::AwaitRequest() {
  if (buffer_.size() > 0) co_return true;  // Pipelined.
  quiet_since_ = context_.clock.Boot();
  Arm(draining_ ? std::min(kOnItsWay, context_.limits.idle_timeout) : context_.limits.idle_timeout);
  idle_ = true;
  const auto [error] = co_await stream_.socket().async_wait(asio::socket_base::wait_read, kResult);
  idle_ = false;
  Disarm();
  // A request that came just then is answered.
  co_return (!error && !late_) || HasUnread();
}

bool HttpConnection::HasUnread() {
  beast::error_code error;
  return stream_.socket().is_open() && stream_.socket().available(error) > 0 && !error;
}

Task<beast::error_code> HttpConnection::ReadWithContinue(Parser& parser) {
  auto [error, read] = co_await http::async_read_header(stream_, buffer_, parser, kResult);
  if (error) co_return error;
  if (absl::EqualsIgnoreCase(View(parser.get()[http::field::expect]), "100-continue") && !parser.is_done()) {
    const absl::Status status = co_await WriteAll(asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25));
    if (!status.ok()) co_return asio::error::broken_pipe;
  }
  std::tie(error, read) = co_await http::async_read(stream_, buffer_, parser, kResult);
  co_return error;
}

Task<bool> HttpConnection::ReadRequest(Parser& parser) {
  const Limits& limits = context_.limits;
  Arm(limits.request_timeout);
  const beast::error_code error = co_await ReadWithContinue(parser);
  Disarm();
  if (!error) co_return true;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    co_await Refuse(431, "INVALID_ARGUMENT",
                    absl::StrCat("the header is longer than ", limits.max_header_bytes, " bytes"));
  } else if (error == http::error::body_limit) {
    co_await Refuse(413, "RESOURCE_EXHAUSTED",
                    absl::StrCat("the body is longer than ", limits.max_body_bytes,
                                 " bytes; a list of that size is better named by \"filepath\""));
  } else if (error.category() == http::make_error_code(http::error::bad_value).category() &&
             error != http::error::end_of_stream && error != http::error::partial_message) {
    co_await Refuse(400, "INVALID_ARGUMENT", absl::StrCat("this is no HTTP/1.1 request: ", error.message()));
  } else if (late_) {
    co_await Refuse(408, "DEADLINE_EXCEEDED", "the request took too long to arrive");
  }
  co_return false;
}

Task<void> HttpConnection::Refuse(unsigned code, absl::string_view reason, absl::string_view detail) {
  static const Router::Route kRefused{"refused", nullptr};
  HttpResponse response(*this, /*head_only=*/false, /*http10=*/false, /*keep_alive=*/false);
  const absl::Time began = context_.clock.Boot();
  const absl::Status status = co_await response.Send(Problem(code, reason, detail));
  Count(kRefused, Request(), response, began);
  if (status.ok()) co_await Linger();
}

// Reads on what the client is still sending: closing with unread bytes would reset the connection and take
// the answer with it.
Task<void> HttpConnection::Linger() {
  beast::error_code ignored;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  stream_.expires_after(absl::ToChronoNanoseconds(kLinger));
  std::array<char, 16 << 10> unread;
  for (;;) {
    const auto [error, read] = co_await stream_.async_read_some(asio::buffer(unread), kResult);
    if (error) co_return;
  }
}

Task<void> HttpConnection::Handle(const Router::Route& route, const Request& request,
                                  HttpResponse& response) {
  absl::Status status;
  try {
    status = co_await route.handler(request, response);
  } catch (const std::exception& error) {
    status = absl::InternalError(error.what());
  }
  if (!response.begun() && !response.client_gone().gone()) {
    if (status.ok()) status = absl::InternalError("the handler gave no answer");
    log::Error("%s: %s", route.name, status.ToString());
    status = co_await response.Send(Problem(status));
  }
  if (status.ok() && response.ended()) co_return;
  if (response.client_gone().gone()) {
    log::Debug("%s: the client left", route.name);
  } else {
    log::Warning("%s: answer broken off: %s", route.name, status.ToString());
  }
}

// Ends what is being read after `timeout`, with late_, unless Disarm comes first. The stream's own timeouts
// would close the socket, and nothing could be said any more.
void HttpConnection::Arm(absl::Duration timeout) {
  late_ = false;
  deadline_.expires_after(absl::ToChronoNanoseconds(timeout));
  deadline_.async_wait([weak = weak_from_this(), armed = ++armed_](const beast::error_code& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || armed != self->armed_) return;
    self->late_ = true;
    self->stream_.cancel();
  });
}

void HttpConnection::Disarm() {
  ++armed_;
  deadline_.cancel();
}

void HttpConnection::LookAfterClient() {
  look_.expires_after(absl::ToChronoNanoseconds(kLookInterval));
  look_.async_wait([weak = weak_from_this()](const beast::error_code& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->response_ == nullptr) return;
    pollfd look{self->stream_.socket().native_handle(), POLLRDHUP, 0};
    if (poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0) {
      self->response_->client_gone().Notify();
      return;
    }
    self->LookAfterClient();
  });
}

void HttpConnection::Count(const Router::Route& route, const Request& request, const HttpResponse& response,
                           absl::Time began) {
  const double seconds = absl::ToDoubleSeconds(context_.clock.Boot() - began);
  // 499: the client left before there was an answer.
  const unsigned code = response.begun() ? response.code() : 499;
  const char* end = response.ended() ? "whole" : "broken";
  context_.metrics
      .Counter("imgfleet_gateway_requests_total", "Requests answered.",
               {{"route", route.name}, {"code", absl::StrCat(code)}, {"end", end}})
      .Increment();
  context_.metrics
      .Histogram("imgfleet_gateway_request_seconds", "From a request being read to its answer's end.",
                 metrics::LatencyBuckets(), {{"route", route.name}})
      .Observe(seconds);
  context_.metrics.Counter("imgfleet_gateway_request_body_bytes_total", "Bytes of requests' bodies.")
      .Increment(static_cast<double>(request.body.size()));
  context_.metrics.Counter("imgfleet_gateway_response_body_bytes_total", "Bytes of answers' bodies.")
      .Increment(static_cast<double>(response.body_bytes()));
  log::Debug("%s path=%s code=%d end=%s bytes=%d seconds=%.3f", route.name, request.path, code, end,
             response.body_bytes(), seconds);
}

}  // namespace

std::shared_ptr<Connection> Connection::Make(asio::ip::tcp::socket socket, const ConnectionContext& context) {
  return std::make_shared<HttpConnection>(std::move(socket), context);
}

}  // namespace imgfleet::gateway
