// What a handler of the gateway is: a coroutine that runs on one thread and never blocks it.
#pragma once

#include "boost/asio/awaitable.hpp"

namespace imgfleet::gateway {

template <typename T>
using Task = boost::asio::awaitable<T>;

}  // namespace imgfleet::gateway
