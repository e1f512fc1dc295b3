#include "worker/image/edges.h"

#include "absl/strings/string_view.h"

namespace imgfleet::image {
namespace {

constexpr size_t kMost = 3000;

class Walk {
 public:
  explicit Walk(const std::string& file) : file_(file) {}
  std::set<size_t> edges;

  void Jpeg();
  void Codestream2000(size_t at);
  void Png();
  void Riff();
  void Boxes(size_t at, size_t end, int depth);
  void Gif();
  void Tiff();
  void Psd();
  void Icns();

 private:
  bool Add(size_t at) {
    if (at > file_.size() || edges.size() >= kMost) return false;
    edges.insert(at);
    return at < file_.size();
  }
  uint8_t Byte(size_t at) const { return at < file_.size() ? static_cast<uint8_t>(file_[at]) : 0; }
  uint64_t Big(size_t at, int bytes) const {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | Byte(at + i);
    return value;
  }
  uint64_t Little(size_t at, int bytes) const {
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i) value = value << 8 | Byte(at + i);
    return value;
  }
  std::string Text(size_t at, size_t bytes) const { return at < file_.size() ? file_.substr(at, bytes) : ""; }
  size_t SubBlocks(size_t at) {
    while (Add(at) && Byte(at) != 0) at += 1 + Byte(at);
    return at + 1;
  }

  const std::string& file_;
};

void Walk::Jpeg() {
  for (size_t at = 2; Add(at) && Byte(at) == 0xFF; at += 2 + Big(at + 2, 2)) {
    Add(at + 2);
    Add(at + 4);
    if (Byte(at + 1) == 0xDA) {
      Add(at + 2 + Big(at + 2, 2));
      return;
    }
  }
}

void Walk::Codestream2000(size_t at) {
  for (at += 2; Add(at) && Byte(at) == 0xFF && Byte(at + 1) != 0x90; at += 2 + Big(at + 2, 2)) Add(at + 4);
}

void Walk::Png() {
  for (size_t at = 8; Add(at); at += 12 + Big(at, 4)) {
    Add(at + 8);
    Add(at + 8 + Big(at, 4));
  }
}

void Walk::Riff() {
  for (size_t at = 12; Add(at); at += 8 + ((Little(at + 4, 4) + 1) & ~uint64_t{1})) Add(at + 8);
}

void Walk::Boxes(size_t at, size_t end, int depth) {
  while (at < end && Add(at)) {
    uint64_t size = Big(at, 4);
    const std::string type = Text(at + 4, 4);
    size_t header = 8;
    if (size == 1) {
      size = Big(at + 8, 8);
      header = 16;
    }
    if (size == 0 || size > end - at) size = end - at;
    if (size < header) return;
    Add(at + header);
    const size_t inside = type == "meta" ? 4 : type == "iinf" ? 6 : 0;
    const bool contains = inside > 0 || type == "iprp" || type == "ipco" || type == "moov" ||
                          type == "trak" || type == "jp2h" || type == "res ";
    if (contains && depth < 6) Boxes(at + header + inside, at + size, depth + 1);
    if (type == "jp2c") Codestream2000(at + header);
    at += size;
  }
  Add(end);
}

void Walk::Gif() {
  auto table = [this](size_t at) { return Byte(at) & 0x80 ? size_t{3} << ((Byte(at) & 7) + 1) : 0; };
  size_t at = 13 + table(10);
  while (Add(at)) {
    if (Byte(at) == 0x21) {
      at = SubBlocks(at + 2);
    } else if (Byte(at) == 0x2C) {
      Add(at + 10);
      at = SubBlocks(at + 10 + table(at + 9) + 1);
    } else {
      return;
    }
  }
}

void Walk::Tiff() {
  const bool little = Byte(0) == 'I';
  auto number = [&](size_t at, int bytes) { return little ? Little(at, bytes) : Big(at, bytes); };
  const bool wide = number(2, 2) == 43;
  const int offset = wide ? 8 : 4;
  size_t at = number(wide ? 8 : 4, offset);
  for (int directories = 0; at != 0 && directories < 20 && Add(at); ++directories) {
    const size_t count = number(at, wide ? 8 : 2);
    at += wide ? 8 : 2;
    for (size_t i = 0; i < count && i < 100 && Add(at); ++i) at += wide ? 20 : 12;
    Add(at);
    Add(at + offset);
    at = number(at, offset);
  }
}

void Walk::Psd() {
  size_t at = 26;
  for (int section = 0; section < 2 && Add(at); ++section) {
    const size_t end = at + 4 + Big(at, 4);
    at += 4;
    while (section == 1 && at < end && Add(at)) {
      const size_t data = at + 6 + ((Byte(at + 6) + 2) & ~1) + 4;
      Add(data);
      at = data + ((Big(data - 4, 4) + 1) & ~uint64_t{1});
    }
    at = end;
  }
  Add(at);
  Add(at + 10);
}

void Walk::Icns() {
  for (size_t at = 8; Add(at) && Big(at + 4, 4) >= 8; at += Big(at + 4, 4)) Add(at + 8);
}

}  // namespace

std::set<size_t> Edges(const std::string& file) {
  Walk walk(file);
  const absl::string_view bytes = file;
  auto begins = [&](absl::string_view text) { return bytes.substr(0, text.size()) == text; };
  if (begins("\xff\xd8")) walk.Jpeg();
  if (begins("\xff\x4f")) walk.Codestream2000(0);
  if (begins("\x89PNG")) walk.Png();
  if (begins("RIFF")) walk.Riff();
  if (begins("GIF8")) walk.Gif();
  if (begins("II") || begins("MM")) walk.Tiff();
  if (begins("8BPS")) walk.Psd();
  if (begins("icns")) walk.Icns();
  const bool boxes = file.size() > 12 && (file.substr(4, 4) == "ftyp" || file.substr(4, 4) == "JXL " ||
                                          file.substr(4, 4) == "jP  ");
  if (boxes) walk.Boxes(0, file.size(), 0);
  return std::move(walk.edges);
}

}  // namespace imgfleet::image
