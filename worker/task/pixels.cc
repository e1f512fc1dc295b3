#include "worker/task/pixels.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/task/limits.h"
#include "worker/task/measurement.h"

namespace imgfleet::task {
namespace {

v1::ItemError::Reason ToReason(decoder::Decoding::Kind kind) {
  using decoder::Decoding;
  switch (kind) {
    case Decoding::kUnsupported:
      return v1::ItemError::UNSUPPORTED_FORMAT;
    case Decoding::kTooLarge:
      return v1::ItemError::TOO_MANY_PIXELS;
    case Decoding::kTruncated:
      return v1::ItemError::TRUNCATED;
    case Decoding::kCorrupt:
      return v1::ItemError::CORRUPT;
    case Decoding::kTimeout:
      return v1::ItemError::TIMEOUT;
    case Decoding::kAbandoned:
      return v1::ItemError::CANCELLED;
    case Decoding::kDied:
    case Decoding::kUnavailable:
    case Decoding::kDecoded:
      break;
  }
  return v1::ItemError::INTERNAL;
}

std::string ToText(const decoder::Colour& colour) {
  return absl::StrFormat("#%02x%02x%02x", colour[0], colour[1], colour[2]);
}

// What an item holds while it waits for its decoder.
struct Waiting {
  Item item;
  v1::Outcome outcome;
  fetch::Reservation memory;
};

class PixelMeasurement final : public Measurement {
 public:
  PixelMeasurement(Item item, decoder::Client* decoders)
      : Measurement(std::move(item), fetch::Extent::kWholeKept), decoders_(decoders) {}

 protected:
  void Conclude(v1::Outcome& outcome, fetch::Report& report) override {
    if (!outcome.has_image()) {
      item_.done(outcome);
      return;
    }
    const v1::ImageInfo& image = outcome.image();
    decoder::DecodeRequest request;
    request.format = image.format();
    request.width = image.width();
    request.height = image.height();
    request.orientation = image.orientation();
    request.file = std::move(report.body);
    // An std::function's captures can be copied.
    auto waiting = std::make_shared<Waiting>();
    waiting->item = std::move(item_);
    waiting->outcome.Swap(&outcome);
    waiting->memory = std::move(report.body_memory);
    request.abandoned = [lease = waiting->item.lease] {
      return lease != nullptr && lease->abandoned.load(std::memory_order_relaxed);
    };
    request.done = [waiting](const decoder::Decoding& decoding) {
      waiting->memory = fetch::Reservation();
      FillPixels(decoding, waiting->outcome.mutable_image()->mutable_pixels());
      waiting->item.done(waiting->outcome);
    };
    decoders_->Decode(std::move(request));
  }

 private:
  decoder::Client* const decoders_;
};

}  // namespace

void FillPixels(const decoder::Decoding& decoding, v1::PixelInfo* pixels) {
  using decoder::Decoding;
  if (decoding.kind != Decoding::kDecoded) {
    v1::ItemError* error = pixels->mutable_error();
    error->set_reason(ToReason(decoding.kind));
    error->set_message(decoding.message);
    // Where a decoder died, hung or could not be had another try may go better.
    error->set_retryable(decoding.kind == Decoding::kDied || decoding.kind == Decoding::kTimeout ||
                         decoding.kind == Decoding::kUnavailable || decoding.kind == Decoding::kAbandoned);
    return;
  }
  const decoder::PixelFacts& facts = decoding.facts;
  pixels->set_decoded(true);
  pixels->set_phash(facts.phash);
  if (facts.average.has_value()) pixels->set_average_color(ToText(*facts.average));
  if (facts.dominant.has_value()) pixels->set_dominant_color(ToText(*facts.dominant));
  pixels->set_blurhash(facts.blurhash);
}

fetch::Request PixelsRequest(Item item, decoder::Client* decoders) {
  fetch::Request request;
  if (item.lease != nullptr) request.limits = ToLimits(item.lease->spec.limits());
  request.urgent = item.urgent;
  request.client = std::make_unique<PixelMeasurement>(std::move(item), decoders);
  return request;
}

}  // namespace imgfleet::task
