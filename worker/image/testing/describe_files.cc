// Probes the files named on stdin, one a line, as a fetcher would that begins with 12 KiB, and prints what was read of
// each as one JSON object a line, in their order: for tests that ask other readers about the same files.
//   {"status":0,"format":"jpeg","width":800,...}   (status 0: measured; what is not known is left out)
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "worker/image/fetching.h"

namespace imgfleet::image {
namespace {

template <typename T>
void Print(const char* name, const std::optional<T>& value) {
  if (value) std::cout << ",\"" << name << "\":" << +*value;
}

void Print(const Fetched& fetched) {
  static constexpr const char* kColorSpace[] = {"",     "gray", "rgb", "palette", "ycbcr",
                                                "cmyk", "ycck", "lab", "xyb"};
  const ImageInfo& info = fetched.result.info;
  std::cout << "{\"status\":" << static_cast<int>(fetched.result.status)
            << ",\"requests\":" << fetched.requests << ",\"format\":\"" << FormatName(info.format)
            << "\",\"width\":" << info.width << ",\"height\":" << info.height
            << ",\"display_width\":" << info.display_width << ",\"display_height\":" << info.display_height
            << ",\"orientation\":" << +info.orientation << ",\"animated\":" << info.animated
            << ",\"color_space\":\"" << kColorSpace[static_cast<int>(info.color_space)] << '"';
  Print("frames", info.frames);
  Print("loop_count", info.loop_count);
  Print("bit_depth", info.bit_depth);
  Print("channels", info.channels);
  Print("has_alpha", info.has_alpha);
  Print("progressive", info.progressive);
  Print("has_icc", info.has_icc);
  Print("dpi_x", info.dpi_x);
  Print("dpi_y", info.dpi_y);
  std::cout << ",\"variants\":[";
  for (size_t i = 0; i < info.variants.size(); ++i) {
    std::cout << (i ? ",[" : "[") << info.variants[i].width << ',' << info.variants[i].height << ']';
  }
  std::cout << "]}\n";
}

}  // namespace
}  // namespace imgfleet::image

int main() {
  std::string path;
  while (std::getline(std::cin, path)) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    imgfleet::image::Print(imgfleet::image::FetchAndProbe(bytes, 12288, 16384));
  }
}
