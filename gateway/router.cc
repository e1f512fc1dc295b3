#include "gateway/router.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/replies.h"

namespace imgfleet::gateway {
namespace {

Task<absl::Status> NotFound(const Request& request, Response& response) {
  co_return co_await response.Send(
      Problem(404, "NOT_FOUND", absl::StrCat("There is nothing at ", request.path)));
}

Handler NotAllowed(std::string allowed) {
  return [allowed](const Request& request, Response& response) -> Task<absl::Status> {
    Reply reply = Problem(405, "METHOD_NOT_ALLOWED",
                          absl::StrCat(request.path, " takes ", allowed, ", not ", request.method));
    reply.head.headers.emplace_back("Allow", allowed);
    co_return co_await response.Send(std::move(reply));
  };
}

bool Match(absl::string_view path, absl::string_view before, absl::string_view after, bool has_id,
           std::string& id) {
  if (!has_id) return path == before;
  if (path.size() <= before.size() + after.size() || !absl::StartsWith(path, before) ||
      !absl::EndsWith(path, after)) {
    return false;
  }
  const absl::string_view middle = path.substr(before.size(), path.size() - before.size() - after.size());
  if (middle.find_first_of("/:") != absl::string_view::npos) return false;
  id = std::string(middle);
  return true;
}

}  // namespace

bool IsApiPath(absl::string_view path) { return path == "/api" || absl::StartsWith(path, "/api/"); }

Router::Router() : not_found_{"not found", NotFound} {
  for (const char* methods : {"GET, HEAD", "POST", "GET, HEAD, POST"}) {
    not_allowed_.emplace_back(methods, Route{"not allowed", NotAllowed(methods)});
  }
}

void Router::Add(absl::string_view method, absl::string_view pattern, Handler handler) {
  Entry entry;
  entry.method = std::string(method);
  entry.route = {absl::StrCat(method, " ", pattern), std::move(handler)};
  const size_t id = pattern.find("{id}");
  entry.has_id = id != absl::string_view::npos;
  entry.before = std::string(pattern.substr(0, id));
  if (entry.has_id) entry.after = std::string(pattern.substr(id + 4));
  entries_.push_back(std::move(entry));
}

void Router::SetFallback(Handler handler) { fallback_ = {"page", std::move(handler)}; }

const Router::Route& Router::Find(Request& request) const {
  bool get = false, post = false;
  for (const Entry& entry : entries_) {
    if (!Match(request.path, entry.before, entry.after, entry.has_id, request.id)) continue;
    if (entry.method == request.method) return entry.route;
    (entry.method == "GET" ? get : post) = true;
  }
  const bool page = !get && !post && !IsApiPath(request.path) && fallback_.handler != nullptr;
  if (page && request.method == "GET") return fallback_;
  if (!get && !post && !page) return not_found_;
  const absl::string_view allowed = get && post ? "GET, HEAD, POST" : post ? "POST" : "GET, HEAD";
  for (const auto& [methods, route] : not_allowed_) {
    if (methods == allowed) return route;
  }
  return not_found_;
}

}  // namespace imgfleet::gateway
