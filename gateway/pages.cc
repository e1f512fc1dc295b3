// The page, as it was when the binary was built.
#include "gateway/handlers.h"
#include "gateway/page_files.h"

namespace imgfleet::gateway {
namespace {

Handler File(const char* content_type, const char* content) {
  return [content_type, content](const Request&, Response& response) -> Task<absl::Status> {
    Reply reply;
    reply.head.content_type = content_type;
    reply.head.headers.emplace_back("Cache-Control", "no-cache");
    reply.head.headers.emplace_back(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    reply.body = content;
    co_return co_await response.Send(std::move(reply));
  };
}

}  // namespace

void AddPageRoutes(Router& router) {
  router.Add("GET", "/page.js", File("text/javascript; charset=utf-8", kPageJs));
  router.Add("GET", "/page.css", File("text/css; charset=utf-8", kPageCss));
  router.SetFallback(File("text/html; charset=utf-8", kIndexHtml));
}

}  // namespace imgfleet::gateway
