// The hostile origins as a process, for tests of whole programs. Prints a line of tab-separated fields for each case,
//
//   NAME URL REASON REASON_OR SAYS SIZE TIMEOUT_S ATTEMPTS FLOODS
//
// behind a line of the authority's file, the good origin's URL and the forbidden one's; then runs until its standard input
// ends. "forbidden" on standard input is answered with the connections that came there.
#include <cstdio>
#include <iostream>
#include <string>

#include "tests/hostile/origin.h"

int main() {
  using namespace imgfleet;
  const hostile::HostileOrigin origin(hostile::AllCases());
  std::printf("%s\t%s\t%s\n", origin.ca_file().c_str(), origin.Url("good").c_str(),
              origin.Url("forbidden").c_str());
  for (const hostile::Case& one : origin.cases()) {
    std::printf("%s\t%s\t%s\t%s\t%s\t%lu\t%ld\t%u\t%d\n", one.name.c_str(), origin.Url(one.name).c_str(),
                v1::ItemError::Reason_Name(one.ends.reason).c_str(),
                v1::ItemError::Reason_Name(one.ends.reason_or).c_str(), one.ends.says.c_str(), one.ends.size,
                absl::ToInt64Seconds(one.timeout), one.attempts, one.floods);
  }
  std::printf("\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::printf("%d\n", origin.connections("forbidden"));
    std::fflush(stdout);
  }
  return 0;
}
