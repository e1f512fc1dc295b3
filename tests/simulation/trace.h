// What happened, a line a step, for whoever looks at a failing seed. Costs nothing where nobody does.
#pragma once

#include <cstdio>
#include <string>

#include "absl/strings/str_format.h"
#include "tests/simulation/timeline.h"

namespace imgfleet::simulation {

class Trace {
 public:
  // Null: nobody looks.
  Trace(const Timeline& timeline, std::FILE* out) : timeline_(timeline), out_(out) {}

  template <typename... Args>
  void operator()(const absl::FormatSpec<Args...>& format, const Args&... args) {
    if (out_ == nullptr) return;
    absl::FPrintF(out_, "%12.6f  %s\n", absl::ToDoubleSeconds(timeline_.now() - Timeline::Start()),
                  absl::StrFormat(format, args...));
  }
  bool on() const { return out_ != nullptr; }

 private:
  const Timeline& timeline_;
  std::FILE* const out_;
};

}  // namespace imgfleet::simulation
