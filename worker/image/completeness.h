// Whether a file reaches the end that its format announces, told from its bytes as they stream by: nothing is decoded, and
// nothing is kept but the part that is looked at (mostly a few bytes, never more than 1 MiB). Pure: no I/O, no clock.
//
//   Completeness completeness(info.format);   // As Probe() found it.
//   completeness.Add(piece) ...               // The file from its first byte, in any pieces.
//   std::optional<bool> complete = completeness.Finish();
//
// true: the announced end was reached; what follows it does not matter. false: the file ends before, or its structure
// breaks so that the end cannot be found. nullopt: the format, or this file, announces no end. However the file is cut
// into pieces the answer is the same, and no file that is cut before the end it announces is true.
//
// What announces the end (walkers.h holds a reader of each):
//   jpeg           the EOI marker of the first image, found by walking the segments; with an MPF directory (CIPA DC-007)
//                  also the end of every image it lists
//   png, gif, qoi  IEND with its checksum; the trailer; the eight end bytes behind the last pixel
//   webp, icns     the size in the header
//   bmp            the end of the pixels as offset, width, height and depth give it (bfSize is often wrong); where they
//                  are compressed, their stated size; neither: nullopt
//   ico, cur       the images of the directory
//   tiff           every strip or tile of every page, and all values of its directory, as far as directories, offsets
//                  and lengths lie ahead of the bytes seen or at most kReach behind; else nullopt
//   avif, heic     the last box, and every extent of iloc; a file of the kind of sequences has its moov and mdat
//   jp2, j2k       tile-parts to the EOC marker
//   jxl            in boxes: the codestream's last box. A bare codestream: nullopt
//   psd            the merged image: its rows, or the table of their packed lengths
//   pnm            binary ones (PAM and PFM too): the rows of the first image
//   tga, pcx       the last pixel, packed or not; pcx: and its palette of 256
//   svg, dds, hdr  nullopt
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "worker/image/probe.h"

namespace imgfleet::image {

class Walker;

// Not thread-safe. Time is linear in the bytes added.
class Completeness {
 public:
  static constexpr uint64_t kReach = 128 << 10;

  explicit Completeness(Format format);
  Completeness(Completeness&&) noexcept;
  Completeness& operator=(Completeness&&) noexcept;
  ~Completeness();

  void Add(absl::string_view bytes);
  // The file has ended.
  std::optional<bool> Finish() const;

 private:
  std::unique_ptr<Walker> walker_;  // Null: this format announces no end.
};

}  // namespace imgfleet::image
