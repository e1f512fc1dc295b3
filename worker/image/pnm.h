// The header of Netpbm files, for those who measure them and those who seek their end: P1 to P6 (sizes as words,
// comments between them), P7 (PAM: a line for each property), PF and Pf (floating point). netpbm.sourceforge.net/doc.
#pragma once

#include <cstdint>
#include <string>

#include "worker/image/source.h"

namespace imgfleet::image {

struct PnmHeader {
  char kind = 0;  // What follows the P.
  uint32_t width = 0, height = 0;
  uint32_t channels = 1;  // Samples of a pixel, at least 1.
  uint32_t maximum = 1;   // The largest sample, 1 to 65535; of floating point 1.
  std::string tuple;      // PAM: what the samples are; empty where it does not say.
  uint64_t pixels = 0;    // Where they begin in the file.

  bool floats() const { return kind == 'F' || kind == 'f'; }
  // P1 to P3: the pixels are words, too.
  bool text() const { return kind <= '3'; }
};

// kOk once the whole header is read, but with no more in its info than the format.
ProbeResult ReadPnmHeader(Source& source, PnmHeader* header);

}  // namespace imgfleet::image
