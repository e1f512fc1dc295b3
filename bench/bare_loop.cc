// The measure that imgfleet's fetching is held against: libcurl driven as cheaply as it can be, and nothing
// else.
//
//   bare_loop URL_FILE [in_flight=128] [range=0-12287] [ca_file=] [http2=0]
//
// One thread, curl_multi_socket_action over epoll, easy handles and connections reused, a write callback that
// only counts. No probing, no redirects, no deadlines, no DNS beyond libcurl's, no address policy, no
// outcomes. It prints one line of JSON.
//
// Where the cycles went in a profile decided two things. libcurl forgets a connection's socket after every
// transfer and asks for it anew with the next; telling epoll each time would be two system calls a transfer,
// so a socket stays registered until it is closed. And the handles are set up once: from one transfer to the
// next only the URL changes.

#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

using Steady = std::chrono::steady_clock;

class Loop {
 public:
  Loop(std::vector<std::string> urls, size_t in_flight, const std::string& range, const std::string& ca_file,
       bool http2)
      : urls_(std::move(urls)), epoll_(epoll_create1(EPOLL_CLOEXEC)), multi_(curl_multi_init()) {
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &OnSocket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &OnTimer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(2 * in_flight));
    for (size_t i = 0; i < std::min(in_flight, urls_.size()); ++i) {
      CURL* easy = curl_easy_init();
      curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
      curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
      curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &OnClose);
      curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
      curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
      curl_easy_setopt(easy, CURLOPT_PROXY, "");
      curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
      if (http2) curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
      if (!range.empty()) curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());
      if (!ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file.c_str());
      Begin(easy);
    }
  }

  ~Loop() {
    curl_multi_cleanup(multi_);
    close(epoll_);
  }

  void Run() {
    std::vector<epoll_event> events(256);
    while (done_ < urls_.size()) {
      int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), TimeoutMillis());
      if (count <= 0) {
        timer_ = Steady::time_point::max();
        Act(CURL_SOCKET_TIMEOUT, 0);
      }
      for (int i = 0; i < count; ++i) {
        int fd = events[i].data.fd;
        if (sockets_[fd].wanted ==
            0) {  // An idle connection was closed at the other end; libcurl will see it when it tries.
          Forget(fd);
          continue;
        }
        uint32_t seen = events[i].events;
        Act(fd, (seen & EPOLLIN ? CURL_CSELECT_IN : 0) | (seen & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (seen & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
      }
      if (Steady::now() >= timer_) {
        timer_ = Steady::time_point::max();
        Act(CURL_SOCKET_TIMEOUT, 0);
      }
      Reap();
    }
  }

  uint64_t succeeded() const { return succeeded_; }
  uint64_t fetched_bytes() const { return fetched_bytes_; }
  uint64_t connections() const { return connections_; }

 private:
  struct Socket {
    uint32_t wanted = 0;      // What libcurl waits for now; 0 for nothing.
    uint32_t registered = 0;  // What epoll was told; 0 where the socket is not in epoll.
  };

  void Begin(CURL* easy) {
    curl_easy_setopt(easy, CURLOPT_URL, urls_[next_++].c_str());
    curl_multi_add_handle(multi_, easy);
  }

  void Act(curl_socket_t fd, int what) {
    int running;
    curl_multi_socket_action(multi_, fd, what, &running);
  }

  void Reap() {
    int left;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* easy = message->easy_handle;
      long status = 0, connected = 0;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connected);
      succeeded_ += message->data.result == CURLE_OK && status / 100 == 2;
      connections_ += connected;
      ++done_;
      curl_multi_remove_handle(multi_, easy);
      if (next_ < urls_.size()) {
        Begin(easy);
      } else {
        curl_easy_cleanup(easy);
      }
    }
  }

  int TimeoutMillis() const {
    if (timer_ == Steady::time_point::max()) return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(timer_ - Steady::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
  }

  void Forget(int fd) {
    if (sockets_[fd].registered != 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    sockets_[fd] = {};
  }

  static int OnSocket(CURL*, curl_socket_t fd, int what, void* self, void*) {
    Loop& loop = *static_cast<Loop*>(self);
    if (static_cast<size_t>(fd) >= loop.sockets_.size()) loop.sockets_.resize(fd + 64);
    Socket& socket = loop.sockets_[fd];
    socket.wanted = 0;
    if (what != CURL_POLL_REMOVE && (what & CURL_POLL_IN)) socket.wanted |= EPOLLIN;
    if (what != CURL_POLL_REMOVE && (what & CURL_POLL_OUT)) socket.wanted |= EPOLLOUT;
    if (socket.wanted == 0 || socket.wanted == socket.registered) return 0;
    epoll_event event{};
    event.events = socket.wanted;
    event.data.fd = fd;
    epoll_ctl(loop.epoll_, socket.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    socket.registered = socket.wanted;
    return 0;
  }

  static int OnTimer(CURLM*, long millis, void* self) {
    static_cast<Loop*>(self)->timer_ =
        millis < 0 ? Steady::time_point::max() : Steady::now() + std::chrono::milliseconds(millis);
    return 0;
  }

  static int OnClose(void* self, curl_socket_t fd) {
    Loop& loop = *static_cast<Loop*>(self);
    if (static_cast<size_t>(fd) < loop.sockets_.size())
      loop.sockets_[fd] = {};  // Closing takes it out of epoll.
    return close(fd);
  }

  static size_t OnBody(char*, size_t size, size_t count, void* self) {
    static_cast<Loop*>(self)->fetched_bytes_ += size * count;
    return size * count;
  }

  const std::vector<std::string> urls_;
  const int epoll_;
  CURLM* const multi_;
  std::vector<Socket> sockets_ = std::vector<Socket>(1024);
  Steady::time_point timer_ = Steady::time_point::max();
  size_t next_ = 0;
  size_t done_ = 0;
  uint64_t succeeded_ = 0;
  uint64_t fetched_bytes_ = 0;
  uint64_t connections_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: bare_loop URL_FILE [in_flight=128] [range=0-12287] [ca_file=] [http2=0]\n");
    return 2;
  }
  std::ifstream file(argv[1]);
  std::vector<std::string> urls;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) urls.push_back(line);
  }
  if (urls.empty()) {
    fprintf(stderr, "bare_loop: %s: no URLs in it\n", argv[1]);
    return 3;
  }
  auto argument = [&](int i, const char* otherwise) { return std::string(argc > i ? argv[i] : otherwise); };
  int in_flight = std::max(1, atoi(argument(2, "128").c_str()));
  curl_global_init(CURL_GLOBAL_DEFAULT);
  size_t items = urls.size();
  Loop loop(std::move(urls), in_flight, argument(3, "0-12287"), argument(4, ""), argument(5, "0") == "1");
  loop.Run();
  printf("{\"items\": %zu, \"ok\": %lu, \"fetched_bytes\": %lu, \"connections\": %lu}\n", items,
         loop.succeeded(), loop.fetched_bytes(), loop.connections());
  return 0;
}
