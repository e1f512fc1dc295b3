// SVGs: units, view boxes, encodings, and what may stand before the root.
#include "worker/image/collector.h"

namespace imgfleet::image {
namespace {

std::string Utf16(const std::string& text, bool big_endian) {
  std::string wide;
  for (char c : text) wide += big_endian ? std::string(1, '\0') + c : c + std::string(1, '\0');
  return wide;
}

}  // namespace

void AddSvgSamples(Collector& all) {
  auto add = [&](const std::string& text, uint32_t w, uint32_t h, const std::string& width = "20",
                 const std::string& height = "30", const std::string& view_box = "") {
    ImageInfo& info = all.Add("svg, " + text.substr(0, 100), text, Format::kSvg, w, h);
    info.svg = SvgSize{width, height, view_box};
  };
  const std::string ns = " xmlns='http://www.w3.org/2000/svg'";
  // `size`: the attributes, all in single quotes.
  auto sized = [&](const std::string& size, uint32_t w, uint32_t h) {
    auto value = [&](const std::string& name) {
      const size_t at = (" " + size).find(" " + name + "='");
      if (at == std::string::npos) return std::string();
      const size_t begin = at + name.size() + 2;
      return size.substr(begin, size.find('\'', begin) - begin);
    };
    add("<svg" + ns + " " + size + ">", w, h, value("width"), value("height"), value("viewBox"));
  };
  sized("width='200' height='300'/", 200, 300);
  add("<svg width=\"200px\" height = \" 300 \">", 200, 300, "200px", " 300 ");
  sized("viewBox='0 0 255.23 48.91'", 255, 49);
  sized("width='860' viewBox='0,0,215,100'", 860, 400);
  sized("width='100%' height='456' viewBox='0 0 246 912'", 123, 456);
  sized("width='auto' height='100%' viewBox='-5 -5 10 20'", 10, 20);
  sized("width='1in' height='2.54cm'", 96, 96);
  sized("width='25.4mm' height='72pt'", 96, 96);
  sized("width='6pc' height='101.6q'", 96, 96);
  sized("width='101.6Q' height='3rem'", 96, 48);
  sized("width='1em' height='1.2e1'", 16, 12);
  sized("width='4ex' height='2EM'", 32, 32);
  sized("width='.3' height='+10'", 1, 10);
  sized("width='50%' height='50vh' viewBox='0 0 7 8'", 7, 8);
  add("<svg stroke-width='2' data-height='7' width='20' height='30'>", 20, 30);
  add("<?xml version='1.0'?>\n<!-- <svg width='1' height='1'> -- >-->"
      "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'http://x/>' [ <!ENTITY ns 'a>]b'> <!-- ]> --> ]>\n"
      "<svg" +
          ns + " width='20' height='30' other='&ns;'>",
      20, 30);
  add("<x:svg xmlns='http://example.com/' xmlns:x='http://www.w3.org/2000/svg' width='20' height='30'>", 20,
      30);
  add("<svg xmlns='&ns_svg;' width='20' height='30'>", 20, 30);
  add("\xef\xbb\xbf \n\t<svg" + ns + " width='20' height='30'>", 20, 30);
  const std::string plain = "<svg" + ns + " width='20' height='30'>";
  add("\xff\xfe" + Utf16(plain, false), 20, 30);
  add("\xfe\xff" + Utf16(plain, true), 20, 30);
  add(Utf16(plain, false), 20, 30);
  add(Utf16(plain, true), 20, 30);
  add("<svg" + ns + " width='10' height='10" + std::string(100, ' ') + "'>", 10, 10, "10",
      "10" + std::string(62, ' '));
  add("<svg" + ns + " content='" + std::string(20000, 'c') + "' width='20' height='30'>", 20, 30);
}

}  // namespace imgfleet::image
