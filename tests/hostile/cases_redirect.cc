// Redirects that lead nowhere, in circles, or where nobody must go.
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

Conversation RedirectsTo(std::string location) {
  return Answers(Whole("302 Found", {absl::StrCat("Location: ", location)}, "moved"));
}

// To another case's URL.
Conversation LeadsTo(std::string name, std::string status = "302 Found") {
  return Replies([name = std::move(name), status = std::move(status)](const Request&, Peer& peer) {
    return Whole(status, {absl::StrCat("Location: ", peer.UrlOf(name))}, "moved");
  });
}

Case Elsewhere(std::string name, std::string location) {
  return {.name = std::move(name),
          .sends = absl::StrCat("302 to ", location.substr(0, 50)),
          .ends = Fails(Reason::BAD_URL, "redirect"),
          .guard = "fetch/attempts.cc: Redirect, fetch/target.cc: ParseTarget",
          .converse = RedirectsTo(std::move(location))};
}

// /x leads to /1, and so on until /`hops`, which is the image.
Conversation Chain(int hops) {
  return Replies([hops](const Request& request, Peer&) {
    const int hop = request.path == "/x" ? 0 : std::atoi(request.path.c_str() + 1);
    if (hop == hops) return Whole("200 OK", {}, Picture());
    return Whole("302 Found", {absl::StrCat("Location: /", hop + 1)}, "");
  });
}

}  // namespace

std::vector<Case> RedirectCases() {
  return {
      {.name = "redirect-five-times",
       .sends = "a chain of five redirects that ends at an image",
       .ends = Measured(),
       .guard = "none needed",
       .converse = Chain(5)},
      {.name = "redirect-six-times",
       .sends = "a chain of six",
       .ends = Fails(Reason::TOO_MANY_REDIRECTS, "more than 5 redirects"),
       .guard = "fetch/attempts.cc: Redirect (kMaxRedirects)",
       .converse = Chain(6)},
      {.name = "redirect-for-ever",
       .sends = "302, each time to another place",
       .ends = Fails(Reason::TOO_MANY_REDIRECTS, "more than 5 redirects"),
       .guard = "fetch/attempts.cc: Redirect (kMaxRedirects)",
       .converse = Chain(1'000'000)},
      {.name = "redirect-to-itself",
       .sends = "302 to the very URL that was asked for",
       .ends = Fails(Reason::TOO_MANY_REDIRECTS, "the redirects run in a circle"),
       .guard = "fetch/attempts.cc: Redirect (visited)",
       .converse = Replies([](const Request&, Peer& peer) {
         return Whole("302 Found", {absl::StrCat("Location: ", peer.own_url())}, "");
       })},
      {.name = "redirect-in-a-circle",
       .sends = "/x to /1 to /2 to /x",
       .ends = Fails(Reason::TOO_MANY_REDIRECTS, "the redirects run in a circle"),
       .guard = "fetch/attempts.cc: Redirect (visited)",
       .converse = Replies([](const Request& request, Peer&) {
         const char* next = request.path == "/x" ? "/1" : request.path == "/1" ? "/2" : "/x";
         return Whole("307 Temporary Redirect", {absl::StrCat("Location: ", next)}, "");
       })},
      {.name = "redirect-without-location",
       .sends = "302 and no Location",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 302 without saying where to go"),
       .guard = "fetch/attempts.cc: OnAnswer",
       .converse = Answers(Whole("302 Found", {}, "moved"))},
      {.name = "redirect-with-empty-location",
       .sends = "\"Location:\" with nothing behind it",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 302 without saying where to go"),
       .guard = "fetch/attempts.cc: OnAnswer",
       .converse = Answers(Whole("302 Found", {"Location: "}, "moved"))},
      {.name = "redirect-with-two-locations",
       .sends = "two Location headers that differ",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the answer's Location headers contradict each other"),
       .guard = "fetch/response_head.cc: Field",
       .converse = Replies([](const Request&, Peer& peer) {
         return Whole("302 Found",
                      {absl::StrCat("Location: ", peer.UrlOf("picture")), "Location: /elsewhere"}, "");
       })},
      {.name = "redirect-with-a-long-location",
       .sends = "a Location of 1 MB",
       .ends = Fails(Reason::PROTOCOL_ERROR, "header is larger than 64 KiB"),
       .guard = "fetch/response_head.cc: Add, libcurl (100 KB for a line)",
       .converse = RedirectsTo(absl::StrCat("/", std::string(1 << 20, 'a')))},
      {.name = "redirect-with-a-location-of-60-kb",
       .sends = "a Location of 60 KB, which fits a head but no URL",
       .ends = Fails(Reason::BAD_URL, "redirected (302) to where nothing is fetched"),
       .guard = "fetch/target.cc: ParseTarget",
       .converse = RedirectsTo(absl::StrCat("/", std::string(60'000, 'a')))},
      Elsewhere("redirect-to-file", "file:///etc/passwd"),
      Elsewhere("redirect-to-ftp", "ftp://127.0.0.1/x.gif"),
      Elsewhere("redirect-to-gopher", "gopher://127.0.0.1:70/_GET"),
      Elsewhere("redirect-to-javascript", "javascript:alert(1)"),
      Elsewhere("redirect-to-data", "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="),
      Elsewhere("redirect-to-no-port", "http://127.0.0.1:99999/x"),
      Elsewhere("redirect-to-control-characters", "http://127.0.0.1/\x01\x02"),
      {.name = "redirect-to-a-blocked-address",
       .sends = "302 to 127.0.0.2, which is not allowed",
       .ends = Fails(Reason::BLOCKED_ADDRESS, "127.0.0.2 is not public"),
       .guard = "fetch/dispatcher.cc: Resolved, fetch/exchange.cc: OnOpen and OnRequest",
       .converse = LeadsTo("forbidden")},
      {.name = "redirect-to-a-blocked-address-in-disguise",
       .sends = "302 to the same in another spelling, 0x7f.2",
       .ends = Fails(Reason::BLOCKED_ADDRESS, "127.0.0.2 is not public"),
       .guard = "fetch/target.cc: ParseTarget, fetch/dispatcher.cc: Resolved",
       .converse = Replies([](const Request&, Peer& peer) {
         std::string url = peer.UrlOf("forbidden");
         return Whole("302 Found", {absl::StrCat("Location: http://0x7f.2", url.substr(url.rfind(':')))}, "");
       })},
      {.name = "redirect-to-metadata",
       .sends = "302 to 169.254.169.254",
       .ends = Fails(Reason::BLOCKED_ADDRESS, "169.254.169.254 is not public"),
       .guard = "fetch/dispatcher.cc: Resolved",
       .converse = RedirectsTo("http://169.254.169.254/latest/meta-data/")},
      {.name = "redirect-to-https",
       .sends = "http to https, as many do",
       .ends = Measured(),
       .guard = "none needed",
       .converse = LeadsTo("picture-tls", "301 Moved Permanently")},
      {.name = "redirect-to-http",
       .sends = "https to http, which is followed: what an image is needs no secrecy",
       .ends = Measured(),
       .guard = "none needed",
       .converse = LeadsTo("picture", "308 Permanent Redirect"),
       .tls = Tls::kTrusted},
      {.name = "redirect-between-http-and-https",
       .sends = "a circle from http to https and back",
       .ends = Fails(Reason::TOO_MANY_REDIRECTS, "the redirects run in a circle"),
       .guard = "fetch/attempts.cc: Redirect (visited)",
       .converse = LeadsTo("redirect-back")},
      {.name = "redirect-back",
       .sends = "the other half of that circle",
       .ends = Fails(Reason::TOO_MANY_REDIRECTS, "the redirects run in a circle"),
       .guard = "fetch/attempts.cc: Redirect (visited)",
       .converse = LeadsTo("redirect-between-http-and-https"),
       .tls = Tls::kTrusted},
      {.name = "redirect-300",
       .sends = "300 Multiple Choices",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 300"),
       .guard = "fetch/response_head.h: IsRedirect",
       .converse = LeadsTo("picture", "300 Multiple Choices")},
      {.name = "redirect-to-a-dead-port",
       .sends = "302 to a port where nobody listens",
       .ends = Fails(Reason::CONNECT_FAILED, "no connection to 127.0.0.1: Connection refused"),
       .guard = "fetch/exchange.cc: connect_error",
       .converse = RedirectsTo("http://127.0.0.1:1/")},
      {.name = "redirect-body-of-an-image",
       .sends = "302 with an image for a body and a Location that is none",
       .ends = Fails(Reason::BAD_URL, "redirect"),
       .guard = "fetch/attempts.cc: Redirect",
       .converse = Answers(Whole("302 Found", {"Location: about:blank"}, Poison()))},
  };
}

}  // namespace imgfleet::hostile
