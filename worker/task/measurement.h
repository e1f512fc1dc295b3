// One item of a measuring job on its way through the fetch engine, to the depth of the header or of the whole body. Who
// goes deeper derives from it: it asks for Extent::kWholeKept, and Conclude gets the outcome of the whole body together
// with that body.
#pragma once

#include <optional>
#include <utility>

#include "worker/fetch/types.h"
#include "worker/image/completeness.h"
#include "worker/image/probe.h"
#include "worker/task/digest.h"
#include "worker/task/task.h"

namespace imgfleet::task {

class Measurement : public fetch::Client {
 public:
  // kAsNeeded measures the header; the others also fill in what v1.ImageInfo has of the whole body.
  Measurement(Item item, fetch::Extent extent) : item_(std::move(item)), extent_(extent) {}

  const std::string& url() const override { return item_.url; }
  fetch::Extent extent() const override { return extent_; }
  bool Abandoned() const override;
  bool NotToBegin() const override;
  void StartBody() override;
  void OnBytes(absl::string_view bytes) override;
  fetch::Verdict Inspect(const fetch::Arrived& arrived) override;
  void Finish(fetch::Report report) override;

 protected:
  // The end: `outcome` lacks only what lies deeper than this class goes. Calls done, here or later; takes what it needs
  // then, the outcome and the item are gone when it returns. `report` still holds the body where the outcome has an image
  // and the body is kept; all else was taken from it.
  virtual void Conclude(v1::Outcome& outcome, fetch::Report& report);

  Item item_;

 private:
  const fetch::Extent extent_;
  image::ProbeResult probed_;
  Sha256 sha256_;
  std::optional<image::Completeness> completeness_;
};

}  // namespace imgfleet::task
