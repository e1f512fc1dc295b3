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
// ISO/IEC 18181: the codestream alone, and in boxes.
ProbeResult ReadJxlCodestream(Source& source);
ProbeResult ReadJxlBoxes(Source& source);
// ITU-T T.800 (JPEG 2000): the codestream alone, and JP2 with its extensions JPX and JPH.
ProbeResult ReadJ2k(Source& source);
ProbeResult ReadJp2(Source& source);
// Adobe Photoshop file formats specification: PSD and PSB.
ProbeResult ReadPsd(Source& source);
// QOI specification 1.0.
ProbeResult ReadQoi(Source& source);
// DirectDraw surfaces, with or without the header of DirectX 10.
ProbeResult ReadDds(Source& source);
// Apple icons, of all times.
ProbeResult ReadIcns(Source& source);
// Netpbm: PBM, PGM, PPM, PAM; PFM.
ProbeResult ReadPnm(Source& source);
// Radiance pictures.
ProbeResult ReadHdr(Source& source);
// Truevision TGA 1 and 2, and ZSoft PCX: detection has checked more than a signature.
ProbeResult ReadTga(Source& source);
ProbeResult ReadPcx(Source& source);

}  // namespace imgfleet::image
