#include "worker/fetch/engine.h"

#include <curl/curl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "common/version.h"

namespace imgfleet::fetch {
namespace {

constexpr char kSystemAuthorities[] = "/etc/ssl/certs/ca-certificates.crt";

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  if (!file || !(content << file.rdbuf())) return absl::NotFoundError(absl::StrCat(path, " cannot be read"));
  return content.str();
}

// The system's authorities and those in `path`, as a file in memory: libcurl caches what it reads from one file, and
// from nothing else.
absl::StatusOr<int> TrustAlso(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string more, ReadFile(path));
  if (!absl::StrContains(more, "-----BEGIN CERTIFICATE-----")) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no certificate in PEM form"));
  }
  const std::string both = absl::StrCat(ReadFile(kSystemAuthorities).value_or(""), "\n", more);
  const int fd = memfd_create("imgfleet-authorities", MFD_CLOEXEC);
  if (fd < 0 || write(fd, both.data(), both.size()) != static_cast<ssize_t>(both.size())) {
    return absl::InternalError("no memory for the trusted authorities");
  }
  return fd;
}

Options Complete(Options options) {
  if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
  options.concurrency = std::max(options.concurrency, options.threads);
  if (options.user_agent.empty()) {
    options.user_agent = absl::StrCat("imgfleet/", kVersion);
    if (!options.contact.empty()) absl::StrAppend(&options.user_agent, " (+", options.contact, ")");
  }
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(Options options) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  IMGFLEET_CHECK(initialised == CURLE_OK);
  // They become a header line.
  for (const std::string& text : {options.user_agent, options.contact}) {
    if (!std::all_of(text.begin(), text.end(), absl::ascii_isprint)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", absl::CHexEscape(text), "\" cannot be sent: user agent and contact are printable ASCII"));
    }
  }
  int trusted = -1;
  if (!options.ca_file.empty()) {
    ASSIGN_OR_RETURN(trusted, TrustAlso(options.ca_file));
  }
  return std::unique_ptr<Engine>(new Engine(Complete(std::move(options)), trusted));
}

Engine::Engine(Options options, int trusted)
    : options_(std::move(options)),
      trusted_(trusted),
      slots_(options_.concurrency, options_.threads),
      origins_(options_.concurrency),
      watchdog_(options_.threads) {
  const Dispatcher::Share share{&slots_, &origins_,
                                std::max<uint64_t>(options_.byte_budget / options_.threads, 1 << 20)};
  const std::string ca_file = trusted_ < 0 ? "" : absl::StrCat("/proc/self/fd/", trusted_);
  for (uint32_t i = 0; i < options_.threads; ++i) {
    loops_.push_back(std::make_unique<Loop>(options_, share, ca_file, watchdog_.beat(i)));
  }
}

Engine::~Engine() {
  loops_.clear();
  if (trusted_ >= 0) close(trusted_);
}

// A host's items go to one loop, where they share connections, a DNS answer and one window; more connections from
// several loops would cost both sides and bring nothing. Only what a saturated loop has too much of, a quarter above its
// share, goes to the loop that has least.
size_t Engine::Choose(absl::string_view url, const std::vector<uint32_t>& held) const {
  const size_t own =
      absl::HashOf(std::string_view(http::Authority(url).data(), http::Authority(url).size())) % held.size();
  if (!loops_[own]->saturated()) return own;
  uint64_t sum = 0;
  for (const uint32_t count : held) sum += count;
  if (held[own] <= 32 + sum * 5 / 4 / held.size()) return own;
  return std::min_element(held.begin(), held.end()) - held.begin();
}

void Engine::Submit(std::vector<Request> requests) {
  std::vector<std::vector<std::unique_ptr<Fetch>>> shares(loops_.size());
  std::vector<uint32_t> held;
  for (const std::unique_ptr<Loop>& loop : loops_) held.push_back(loop->held());
  for (Request& request : requests) {
    const size_t chosen = loops_.size() == 1 ? 0 : Choose(request.client->url(), held);
    auto fetch = std::make_unique<Fetch>();
    fetch->client = std::move(request.client);
    fetch->limits = request.limits;
    fetch->urgent = request.urgent;
    shares[chosen].push_back(std::move(fetch));
    ++held[chosen];
  }
  for (size_t i = 0; i < loops_.size(); ++i) {
    if (!shares[i].empty()) loops_[i]->Add(std::move(shares[i]));
  }
}

void Engine::DropAbandoned() {
  for (const std::unique_ptr<Loop>& loop : loops_) loop->DropAbandoned();
}

}  // namespace imgfleet::fetch
