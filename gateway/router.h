// From a request to the handler that answers it.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/http.h"

namespace imgfleet::gateway {

// Filled once, then read from any thread.
class Router {
 public:
  struct Route {
    std::string name;  // For metrics and logs: "GET /api/v1/jobs/{id}".
    Handler handler;
  };

  // `method` is GET, POST or DELETE. `pattern` is "/api/v1/jobs", "/api/v1/jobs/{id}", "/api/v1/jobs/{id}/results" or
  // "/api/v1/jobs/{id}:cancel": {id} stands for one or more characters that are neither '/' nor ':'.
  void Add(absl::string_view method, absl::string_view pattern, Handler handler);

  // Never null: what is not found, or not with this method, has handlers, too. Sets request.id.
  const Route& Find(Request& request) const;

  // Answers GET of every path that is no API path. Without one they are 404.
  void SetFallback(Handler handler);

  Router();

 private:
  struct Entry {
    std::string method;
    std::string before, after;  // Around {id}.
    bool has_id = false;
    Route route;
  };

  std::vector<Entry> entries_;
  Route fallback_;
  Route not_found_;
  std::vector<Route> not_allowed_;  // By the methods that are, as bits, less one.
};

// /api and what lies below it.
bool IsApiPath(absl::string_view path);

}  // namespace imgfleet::gateway
