#include "coordinator/service/threads.h"

#include <utility>

#include "boost/asio/post.hpp"
#include "boost/asio/thread_pool.hpp"

namespace imgfleet::service {

class Threads::Pool : public boost::asio::thread_pool {
 public:
  using boost::asio::thread_pool::thread_pool;
};

Threads::Threads(int count) : pool_(std::make_unique<Pool>(static_cast<size_t>(count))) {}

Threads::~Threads() { Stop(); }

void Threads::Post(std::function<void()> work) { boost::asio::post(*pool_, std::move(work)); }

void Threads::Stop() {
  pool_->stop();
  pool_->join();
}

}  // namespace imgfleet::service
