// How long single requests take, of two URLs in turn, each over a connection of its own that is kept: so that what one costs
// more than the other is told on the same machine in the same moments.
//
//   latency COUNT URL_A URL_B [range of B=]
//
// Prints one line of JSON: median and 99th percentile of both in milliseconds, and how many answers were not 2xx.
#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

constexpr int kWarm = 20;

size_t OnBody(char*, size_t size, size_t count, void*) { return size * count; }

class Path {
 public:
  Path(const char* url, const char* range) : easy_(curl_easy_init()) {
    curl_easy_setopt(easy_, CURLOPT_URL, url);
    curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &OnBody);
    curl_easy_setopt(easy_, CURLOPT_PROXY, "");
    curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
    if (*range != '\0') curl_easy_setopt(easy_, CURLOPT_RANGE, range);
  }
  ~Path() { curl_easy_cleanup(easy_); }

  void Ask(bool count) {
    const auto begun = std::chrono::steady_clock::now();
    const CURLcode code = curl_easy_perform(easy_);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    if (!count) return;
    took_.push_back(took.count());
    if (code != CURLE_OK || status / 100 != 2) ++bad_;
  }
  double Quantile(double part) {
    std::sort(took_.begin(), took_.end());
    return took_[std::min(took_.size() - 1, static_cast<size_t>(static_cast<double>(took_.size()) * part))];
  }
  int bad() const { return bad_; }

 private:
  CURL* const easy_;
  std::vector<double> took_;
  int bad_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const int count = argc >= 4 ? std::atoi(argv[1]) : 0;
  if (count <= 0) {
    std::fprintf(stderr, "usage: latency COUNT URL_A URL_B [range of B]\n");
    return 2;
  }
  Path a(argv[2], ""), b(argv[3], argc > 4 ? argv[4] : "");
  for (int i = 0; i < kWarm + count; ++i) {
    a.Ask(i >= kWarm);
    b.Ask(i >= kWarm);
  }
  std::printf("{\"a_median\":%.3f,\"a_p99\":%.3f,\"b_median\":%.3f,\"b_p99\":%.3f,\"bad\":%d}\n",
              a.Quantile(0.5), a.Quantile(0.99), b.Quantile(0.5), b.Quantile(0.99), a.bad() + b.bad());
}
