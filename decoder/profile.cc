#include "decoder/profile.h"

#include <lcms2.h>

#include <memory>

namespace imgfleet::decoder {
namespace {

struct CloseProfile {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
struct DeleteTransform {
  void operator()(void* transform) const { cmsDeleteTransform(transform); }
};

}  // namespace

void ToSrgb(absl::string_view icc, Raster* raster) {
  static_assert(sizeof(Cell) == 4);
  if (icc.empty()) return;
  const std::unique_ptr<void, CloseProfile> from(
      cmsOpenProfileFromMem(icc.data(), static_cast<cmsUInt32Number>(icc.size())));
  if (from == nullptr || cmsGetColorSpace(from.get()) != cmsSigRgbData) return;
  const std::unique_ptr<void, CloseProfile> to(cmsCreate_sRGBProfile());
  if (to == nullptr) return;
  // TYPE_RGBA_8 skips the alpha, and leaves it as it is when done in place.
  const std::unique_ptr<void, DeleteTransform> transform(cmsCreateTransform(
      from.get(), TYPE_RGBA_8, to.get(), TYPE_RGBA_8, INTENT_RELATIVE_COLORIMETRIC, cmsFLAGS_NOCACHE));
  if (transform == nullptr) return;
  cmsDoTransform(transform.get(), raster->cells.data(), raster->cells.data(),
                 static_cast<cmsUInt32Number>(raster->cells.size()));
}

}  // namespace imgfleet::decoder
