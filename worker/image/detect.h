// Which format a file's first bytes announce. The one place that knows signatures.
#pragma once

#include "worker/image/source.h"

namespace imgfleet::image {

// Matches the first bytes and reads on in the format's own reader; formats that are known but not measured,
// and what is no image, are answered here.
ProbeResult DetectAndRead(Source& source);

}  // namespace imgfleet::image
