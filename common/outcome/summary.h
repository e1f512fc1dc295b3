// A job in a sentence.
#pragma once

#include <cstdint>
#include <string>

#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::outcome {

// What went wrong most, from the job's counts: "312 of 5,005 items failed; 94 % of failures: DNS_FAILURE, 6
// %: HTTP_STATUS". Empty where nothing failed. Reads succeeded, failed and reasons (in any order). Pure.
std::string Summary(const v1::Job& job);

// 1234567 as "1,234,567".
std::string Grouped(uint64_t number);

}  // namespace imgfleet::outcome
