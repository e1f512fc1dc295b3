// What a handler of the gateway is: a coroutine that runs on one thread and never blocks it.
//
// g++ 12 miscompiles a co_await in the condition of a loop (the frame's resume index is lost, and the next
// resumption crashes): await into a variable first, then look at it.
#pragma once

#include "boost/asio/awaitable.hpp"

namespace imgfleet::gateway {

template <typename T>
using Task = boost::asio::awaitable<T>;

}  // namespace imgfleet::gateway
