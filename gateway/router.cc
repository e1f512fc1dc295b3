#include "gateway/router.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/log.h"
#include "gateway/replies.h"

namespace imgfleet::gateway {
namespace {

// Of routes.
constexpr std::array<absl::string_view, 3> kMethods = {"GET", "POST", "DELETE"};

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
  // GET is HEAD as well.
  for (int allowed = 1; allowed < 1 << kMethods.size(); ++allowed) {
    std::vector<absl::string_view> methods;
    for (size_t i = 0; i < kMethods.size(); ++i) {
      if ((allowed & 1 << i) == 0) continue;
      methods.push_back(kMethods[i]);
      if (methods.back() == "GET") methods.push_back("HEAD");
    }
    not_allowed_.push_back({"not allowed", NotAllowed(absl::StrJoin(methods, ", "))});
  }
}

void Router::Add(absl::string_view method, absl::string_view pattern, Handler handler) {
  IMGFLEET_CHECK(std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end());
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
  int allowed = 0;
  for (const Entry& entry : entries_) {
    if (!Match(request.path, entry.before, entry.after, entry.has_id, request.id)) continue;
    if (entry.method == request.method) return entry.route;
    allowed |= 1 << (std::find(kMethods.begin(), kMethods.end(), entry.method) - kMethods.begin());
  }
  if (allowed != 0) return not_allowed_[static_cast<size_t>(allowed) - 1];
  if (IsApiPath(request.path) || fallback_.handler == nullptr) return not_found_;
  return request.method == "GET" ? fallback_ : not_allowed_.front();
}

}  // namespace imgfleet::gateway
