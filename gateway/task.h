// What a handler of the gateway is: a coroutine that runs on one thread and never blocks it.
//
// g++ 12 miscompiles a conditional expression inside a statement that awaits: `co_await Send(c ? Make() : x)` destroys
// the temporary of Make() also where x was chosen, and the heap is damaged. Choose first, then await;
// //tests/checks:coroutines_check looks for it.
#pragma once

#include "boost/asio/awaitable.hpp"

namespace imgfleet::gateway {

template <typename T>
using Task = boost::asio::awaitable<T>;

}  // namespace imgfleet::gateway
