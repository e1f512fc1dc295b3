// Hands values from any thread to a coroutine: how a callback of gRPC wakes the coroutine that waits for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "boost/asio/associated_executor.hpp"
#include "boost/asio/async_result.hpp"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "gateway/task.h"

namespace imgfleet::gateway {

// Room for one value. Set from any thread; waited for by one coroutine at a time, which resumes on its own
// executor. Which of the two comes first does not matter; each Set is matched by one Wait.
template <typename T>
class Baton {
 public:
  void Set(T value) {
    std::function<void(T)> resume;
    {
      absl::MutexLock lock(&mutex_);
      if (resume_ == nullptr) {
        value_.emplace(std::move(value));
        return;
      }
      resume = std::exchange(resume_, nullptr);
    }
    resume(std::move(value));  // The baton may be gone from here on.
  }

  Task<T> Wait() {
    co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(T)>(
        [this](auto handler) { WaitWith(std::move(handler)); }, boost::asio::use_awaitable);
  }

 private:
  template <typename Handler>
  void WaitWith(Handler handler) {
    const auto executor = boost::asio::get_associated_executor(handler);
    auto shared = std::make_shared<Handler>(std::move(handler));
    std::function<void(T)> resume = [shared, executor,
                                     work = boost::asio::make_work_guard(executor)](T value) mutable {
      boost::asio::post(executor, [shared = std::move(shared), value = std::move(value)]() mutable {
        (*shared)(std::move(value));
      });
    };
    std::optional<T> ready;
    {
      absl::MutexLock lock(&mutex_);
      if (!value_.has_value()) {
        resume_ = std::move(resume);
        return;
      }
      ready = std::exchange(value_, std::nullopt);
    }
    resume(*std::move(ready));
  }

  absl::Mutex mutex_;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
  std::function<void(T)> resume_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::gateway
