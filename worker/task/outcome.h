// Puts what the engine and the probe found into the words of v1.Outcome. Text that origins sent is made valid UTF-8.
#pragma once

#include "proto/imgfleet/v1/image.pb.h"
#include "worker/fetch/types.h"
#include "worker/image/probe.h"

namespace imgfleet::task {

v1::ItemError::Reason ToReason(fetch::Failure failure);

// The header promises more than kMaxPixels: TOO_MANY_PIXELS.
bool HasTooManyPixels(const image::ImageInfo& info);
// The measurement, or why the bytes gave none.
void FillImage(const image::ProbeResult& probed, const fetch::Report& report, v1::Outcome* outcome);
// The failure of the fetch.
void FillFailure(fetch::Report* report, v1::Outcome* outcome);
// FetchInfo and attempts; takes the report's texts. After FillImage: what the image is decides whether the
// origin's content type is wrong.
void FillFetch(fetch::Report* report, v1::Outcome* outcome);

}  // namespace imgfleet::task
