// One reader per format family, each in a file of its own. Each is called once detection has matched the
// format's first bytes, reads through `source` only, and answers by the rules of probe.h.
#pragma once

#include "worker/image/probe.h"
#include "worker/image/source.h"

namespace imgfleet::image {

// ITU-T T.81; Exif 2.3.
ProbeResult ReadJpeg(Source& source);
// W3C PNG, APNG, and Apple's CgBI variant.
ProbeResult ReadPng(Source& source);
// GIF89a specification.
ProbeResult ReadGif(Source& source);
// WebP container specification; RFC 6386 (VP8); WebP lossless bitstream (VP8L).
ProbeResult ReadWebp(Source& source);
// BITMAPCOREHEADER up to BITMAPV5HEADER, OS/2 1.x and 2.x.
ProbeResult ReadBmp(Source& source);
// Windows icons and cursors.
ProbeResult ReadIco(Source& source);
// SVG 1.1 and 2; also decides which XML is none.
ProbeResult ReadSvg(Source& source);
// ISO/IEC 23008-12 (HEIF) with HEVC or AV1 inside: HEIC and AVIF, stills and sequences.
ProbeResult ReadHeif(Source& source);
// TIFF 6.0 and BigTIFF.
ProbeResult ReadTiff(Source& source);

}  // namespace imgfleet::image
