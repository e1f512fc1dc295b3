// Origins that ask to wait, sensibly or not, and those that are better the next time.
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

// `first` as long as a path was asked for no more than `times`, then the image.
Conversation FirstThen(int times, std::function<std::string()> first) {
  return Replies([times, first = std::move(first)](const Request& request, Peer&) {
    return request.count <= times ? first() : Whole("200 OK", {}, Picture());
  });
}
Conversation Flaky(absl::string_view status, std::initializer_list<absl::string_view> lines = {}) {
  return FirstThen(1, [answer = Whole(status, lines, "not now")] { return answer; });
}
std::string Refusal(absl::string_view status, absl::string_view retry_after) {
  return Whole(status, {absl::StrCat("Retry-After: ", retry_after)}, "not now");
}
std::string DateIn(absl::Duration wait) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now() + wait, absl::UTCTimeZone());
}

const char kGuard[] = "fetch/refusals.cc: Refuse, fetch/response_head.cc: RetryAfter";

Case Refuses(std::string name, std::string status, std::string retry_after, std::string says) {
  const std::string answer =
      retry_after.empty() ? Whole(status, {}, "not now") : Refusal(status, retry_after);
  const std::string wait =
      retry_after.empty() ? " without Retry-After" : absl::StrCat(", Retry-After: ", retry_after);
  return {.name = std::move(name),
          .sends = absl::StrCat(status, wait),
          .ends = Fails(Reason::HTTP_STATUS, std::move(says)),
          .guard = kGuard,
          .converse = Answers(answer),
          .timeout = kBrief,
          .attempts = 2};
}

}  // namespace

std::vector<Case> RetryCases() {
  return {
      Refuses("retry-429-for-ever", "429 Too Many Requests", "", "the origin answered 429"),
      Refuses("retry-503-for-ever", "503 Service Unavailable", "", "the origin answered 503"),
      Refuses("retry-429-of-0-for-ever", "429 Too Many Requests", "0", "the origin answered 429"),
      Refuses("retry-503-of-an-hour", "503 Service Unavailable", "3600",
              "the origin answered 503 and asked to wait 1h"),
      Refuses("retry-429-beyond-64-bits", "429 Too Many Requests", "99999999999999999999999",
              "the origin answered 429 and asked to wait"),
      Refuses("retry-429-negative", "429 Too Many Requests", "-5", "the origin answered 429"),
      Refuses("retry-429-garbage", "429 Too Many Requests", "soon", "the origin answered 429"),
      Refuses("retry-429-fraction", "429 Too Many Requests", "1.5", "the origin answered 429"),
      Refuses("retry-503-in-1994", "503 Service Unavailable", "Sun, 06 Nov 1994 08:49:37 GMT",
              "the origin answered 503"),
      Refuses("retry-503-in-9999", "503 Service Unavailable", "Fri, 31 Dec 9999 23:59:59 GMT",
              "the origin answered 503 and asked to wait"),
      {.name = "retry-429-of-a-second",
       .sends = "429, Retry-After: 1, then the image",
       .ends = Measured(),
       .guard = kGuard,
       .converse = Flaky("429 Too Many Requests", {"Retry-After: 1"}),
       .attempts = 2},
      {.name = "retry-503-at-a-date",
       .sends = "503 with the date of the next second, then the image",
       .ends = Measured(),
       .guard = kGuard,
       .converse = FirstThen(1, [] { return Refusal("503 Service Unavailable", DateIn(absl::Seconds(1))); }),
       .attempts = 2},
      {.name = "retry-408",
       .sends = "408, then the image",
       .ends = Measured(),
       .guard = "fetch/refusals.cc: WorthARetry",
       .converse = Flaky("408 Request Timeout"),
       .attempts = 2},
      {.name = "retry-425",
       .sends = "425, then the image",
       .ends = Measured(),
       .guard = "fetch/refusals.cc: WorthARetry",
       .converse = Flaky("425 Too Early"),
       .attempts = 2},
      {.name = "retry-500",
       .sends = "500, then the image",
       .ends = Measured(),
       .guard = "fetch/refusals.cc: WorthARetry",
       .converse = Flaky("500 Internal Server Error"),
       .attempts = 2},
      {.name = "retry-503",
       .sends = "503, then the image",
       .ends = Measured(),
       .guard = "fetch/refusals.cc: WorthARetry",
       .converse = Flaky("503 Service Unavailable"),
       .attempts = 2},
      {.name = "retry-502-twice",
       .sends = "502 twice, then the image: one attempt too late",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 502"),
       .guard = "fetch/dispatcher.cc: Fail (max_attempts)",
       .converse = FirstThen(2, [] { return Whole("502 Bad Gateway", {}, ""); }),
       .attempts = 2},
      {.name = "retry-404",
       .sends = "404, then the image: nobody asks again",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 404"),
       .guard = "fetch/refusals.cc: WorthARetry",
       .converse = Flaky("404 Not Found"),
       .attempts = 2},
      {.name = "retry-reset",
       .sends = "RST, then the image",
       .ends = Measured(),
       .guard = "fetch/attempts.cc: OnTransferError",
       .converse =
           [](Peer& peer) {
             while (const std::optional<Request> request = peer.Read()) {
               if (request->count == 1) return peer.Reset();
               if (!peer.Send(Whole("200 OK", {}, Picture()))) return;
             }
           },
       .attempts = 2},
      {.name = "retry-range-lie",
       .sends = "another range than asked for, then the image",
       .ends = Measured(),
       .guard = "fetch/attempts.cc: WorthARetry",
       .converse = FirstThen(1, [] { return Part("5-9/100", "01234"); }),
       .attempts = 2},
      {.name = "retry-redirect-to-429",
       .sends = "a redirect to where 429 is answered, then the image",
       .ends = Measured(),
       .guard = kGuard,
       .converse = Replies([](const Request& request, Peer&) {
         if (request.path == "/x") return Whole("302 Found", {"Location: /y"}, "");
         return request.count == 1 ? Refusal("429 Too Many Requests", "0") : Whole("200 OK", {}, Picture());
       }),
       .attempts = 2},
  };
}

}  // namespace imgfleet::hostile
