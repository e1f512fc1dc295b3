// The smallest images of each format: decoded once before the sandbox closes, since libraries do some things at their
// first image only.
#pragma once

#include <string>
#include <vector>

#include "decoder/codec.h"

namespace imgfleet::decoder {

struct Sample {
  Format format;
  std::string file;
};

std::vector<Sample> Samples();

}  // namespace imgfleet::decoder
