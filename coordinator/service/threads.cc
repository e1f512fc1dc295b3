#include "coordinator/service/threads.h"

#include <utility>

#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/thread_pool.hpp"

namespace imgfleet::service {

class Threads::Pool : public boost::asio::thread_pool {
 public:
  using boost::asio::thread_pool::thread_pool;
};

Threads::Threads(int count) : pool_(std::make_unique<Pool>(static_cast<size_t>(count))) {}

Threads::~Threads() { Stop(); }

void Threads::Post(std::function<void()> work) { boost::asio::post(*pool_, std::move(work)); }

void Threads::PostAfter(absl::Duration delay, std::function<void()> work) {
  auto timer = std::make_shared<boost::asio::steady_timer>(*pool_, absl::ToChronoNanoseconds(delay));
  timer->async_wait([timer, work = std::move(work)](const boost::system::error_code& cancelled) {
    if (!cancelled) work();
  });
}

void Threads::Stop() {
  pool_->stop();
  pool_->join();
}

}  // namespace imgfleet::service
