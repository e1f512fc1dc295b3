#!/usr/bin/python3
"""Holds what the probe says beside the size against Pillow: on files that Pillow writes here, and on those of the folder
IMGFLEET_CORPUS (as for corpus_test) where it is set. Only what both know is compared; where the two mean different
things by one word, the comparison says what each means."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import warnings

from PIL import Image, ImageCms, ImageDraw

DESCRIBE = "worker/image/describe_files"
OK = 0
# Pillow's mode of an image as opened, by what the probe calls its colours.
MODES = {
    "gray": {"1", "L", "LA", "I", "I;16", "I;16B", "F", "P", "RGBA"},
    "rgb": {"RGB", "RGBA", "RGBX", "RGBa", "P"},
    "palette": {"P", "PA", "1", "L", "RGB", "RGBA"},
    "ycbcr": {"RGB", "RGBA", "RGBX", "YCbCr"},
    "cmyk": {"CMYK", "RGB"},
    "ycck": {"CMYK"},
    "lab": {"LAB"},
}
# Files on which Pillow is taken to be wrong, or means something else, and why.
EXCEPTIONS = {
    # The profiles of Apple's CgBI PNGs are compressed without zlib's frame, which Pillow cannot undo.
    ("image-size/specs/images/valid/png/sample_fried.png", "has_icc"),
    ("imageinfo/images/valid/png/sample_fried.png", "has_icc"),
    ("imageinfo-rs/images/valid/png/sample_fried.png", "has_icc"),
}


def describe(paths):
    done = subprocess.run([DESCRIBE], input="".join(f"{path}\n" for path in paths), text=True, capture_output=True,
                          check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def loops(image):
    """Times an animation is shown, 0 for ever. A GIF says how often it is shown again."""
    loop = image.info.get("loop")
    if image.format == "GIF":
        return 1 if loop is None else loop and loop + 1
    return loop


def differences(path, ours):
    """What the two say differently of one file, as [(field, ours, Pillow's)]; None where Pillow cannot read it."""
    try:
        with Image.open(path) as image, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return differences_from(image, ours)
    except (OSError, SyntaxError, ValueError):
        return None


def differences_from(image, ours):
    found = []

    def compare(field, pillow, same=lambda a, b: a == b):
        if field in ours and pillow is not None and not same(ours[field], pillow):
            found.append((field, ours[field], pillow))

    try:
        frames = getattr(image, "n_frames", 1)
        if image.format == "PNG" and image.info.get("default_image"):
            frames -= 1  # The picture for those who do not know animations is none of its frames.
    except Exception:
        frames = None
    if image.format not in ("ICO", "CUR", "ICNS", "DDS", "PSD"):  # Pillow counts the layers of a PSD.
        compare("frames", frames)
    if image.format in ("JPEG", "MPO", "PNG", "WEBP", "TIFF"):
        compare("orientation", image.getexif().get(0x0112, 1), lambda a, b: a == b or b not in range(1, 9))
    if image.format not in ("GIF", "JPEG2000"):  # Pillow does not look for theirs.
        compare("has_icc", int(bool(image.info.get("icc_profile"))))
    if ours["animated"] and frames and frames > 1:
        compare("loop_count", loops(image))
    if ours["color_space"]:
        compare("color_space", image.mode, lambda space, mode: mode in MODES[space])
    compare("progressive", int(bool(image.info.get("progressive") or image.info.get("interlace"))),
            lambda a, b: image.format not in ("JPEG", "MPO", "PNG") or a == b)
    if image.format == "ICO":
        sizes = {tuple(size) for size in ours["variants"]}
        if sizes != set(image.info["sizes"]):
            found.append(("variants", sorted(sizes), sorted(image.info["sizes"])))
    dpi = image.info.get("dpi")
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
        # Of Exif Pillow reads the resolution across only, 72 where there is none, and minds no unit but the
        # centimetre.
        if "dpi_x" in ours and dpi and abs(ours["dpi_x"] - float(dpi[0])) > 0.51:
            found.append(("dpi_x", ours["dpi_x"], dpi))
    elif image.format in ("JPEG", "MPO", "PNG", "BMP", "TIFF"):
        if image.info.get("jfif_unit") == 2 and not dpi:  # Not all versions of Pillow turn centimetres into inches.
            dpi = [value * 2.54 for value in image.info["jfif_density"]]
        if image.format == "PNG" and not dpi and "exif" in image.info:
            return found  # Pillow does not ask the Exif of a PNG.
        stated = [float(value) for value in dpi or (0, 0)]
        for field, value in zip(("dpi_x", "dpi_y"), stated):
            # A TIFF may put its resolution where it would cost a fetch; Pillow rounds JFIF's centimetres.
            if image.format == "TIFF" and field not in ours:
                continue
            if abs(ours.get(field, 0) - max(value, 0)) > 0.51:
                found.append((field, ours.get(field), value))
    return found


class PillowTest(unittest.TestCase):
    def check(self, files, at_least):
        """`files`: {name: path}. At least so many of them are to be readable by both."""
        compared = 0
        for (name, path), ours in zip(files.items(), describe(files.values())):
            if ours["status"] != OK:
                continue
            with self.subTest(name):
                found = differences(path, ours)
                compared += found is not None
                self.assertEqual([each for each in found or [] if (name, each[0]) not in EXCEPTIONS], [],
                                 f"(field, ours, Pillow's) of {name}: {ours}")
        self.assertGreaterEqual(compared, at_least)
        print(f"{compared} of {len(files)} files compared")

    def test_what_pillow_writes(self):
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        frames = []
        for i in range(4):
            frame = Image.new("RGB", (40, 30), (60 * i, 10, 200))
            ImageDraw.Draw(frame).line((0, 0, 40, 10 * i), fill=(0, 255, 0))
            frames.append(frame)
        picture = frames[1]
        rgba = picture.convert("RGBA")
        rgba.putalpha(100)
        exif = Image.Exif()
        exif[0x0112], exif[0x011A], exif[0x011B], exif[0x0128] = 6, 240.0, 240.0, 2
        more = dict(save_all=True, append_images=frames[2:])
        files = {
            "plain.jpg": (picture, {}),
            "dpi.jpg": (picture, dict(dpi=(300, 200))),
            "icc.jpg": (picture, dict(icc_profile=icc)),
            "exif.jpg": (picture, dict(exif=exif)),
            "progressive.jpg": (picture, dict(progressive=True)),
            "gray.jpg": (picture.convert("L"), {}),
            "cmyk.jpg": (picture.convert("CMYK"), {}),
            "several.mpo": (picture, dict(save_all=True, append_images=frames[2:3])),
            "plain.png": (picture, {}),
            "dpi.png": (picture, dict(dpi=(300, 72))),
            "icc.png": (picture, dict(icc_profile=icc)),
            "alpha.png": (rgba, {}),
            "palette.png": (picture.convert("P"), {}),
            "gray.png": (picture.convert("LA"), {}),
            "deep.png": (picture.convert("I"), {}),
            "bits.png": (picture.convert("1"), {}),
            "exif.png": (picture, dict(exif=exif)),
            "animated.png": (picture, dict(more, loop=3)),
            "endless.png": (picture, dict(more, loop=0)),
            "default.png": (picture, dict(more, default_image=True)),
            "plain.gif": (picture, {}),
            "animated.gif": (picture, more),
            "endless.gif": (picture, dict(more, loop=0)),
            "again.gif": (picture, dict(more, loop=2)),
            "plain.webp": (picture, {}),
            "lossless.webp": (rgba, dict(lossless=True)),
            "alpha.webp": (rgba, {}),
            "icc.webp": (picture, dict(icc_profile=icc)),
            "exif.webp": (picture, dict(exif=exif)),
            "animated.webp": (picture, dict(more, loop=3)),
            "animated_exif.webp": (picture, dict(more, exif=exif)),
            "endless.webp": (picture, dict(more, loop=0, icc_profile=icc)),
            "plain.bmp": (picture, {}),
            "dpi.bmp": (picture, dict(dpi=(300, 72))),
            "alpha.bmp": (rgba, {}),
            "palette.bmp": (picture.convert("P"), {}),
            "bits.bmp": (picture.convert("1"), {}),
            "several.ico": (rgba, dict(sizes=[(16, 16), (24, 24), (32, 32)])),
            "plain.tiff": (picture, {}),
            "dpi.tiff": (picture, dict(dpi=(300, 72))),
            "icc.tiff": (picture, dict(icc_profile=icc)),
            "cmyk.tiff": (picture.convert("CMYK"), {}),
            "lab.tiff": (picture.convert("LAB"), {}),
            "alpha.tiff": (rgba, {}),
            "float.tiff": (picture.convert("F"), {}),
            "lzw.tiff": (picture, dict(compression="tiff_lzw")),
            "jpeg.tiff": (picture, dict(compression="jpeg")),
            "several.tiff": (picture, more),
            "plain.jp2": (picture, {}),
            "alpha.jp2": (rgba, {}),
            "gray.jp2": (picture.convert("L"), {}),
            "gray_alpha.jp2": (picture.convert("LA"), {}),
            "deep.jp2": (picture.convert("L").convert("I;16"), {}),
            "offset.jp2": (picture, dict(offset=(7, 5), tile_offset=(3, 2), tile_size=(16, 16))),
            "plain.j2k": (picture, {}),
            "offset.j2k": (picture, dict(offset=(7, 5), tile_offset=(3, 2), tile_size=(16, 16))),
            "plain.tga": (picture, {}),
            "packed.tga": (rgba, dict(compression="tga_rle", orientation=1)),
            "gray.tga": (picture.convert("L"), {}),
            "gray_alpha.tga": (picture.convert("LA"), {}),
            "palette.tga": (picture.convert("P"), dict(id_section=b"name")),
            "bits.tga": (picture.convert("1"), {}),
            "plain.pcx": (picture, dict(dpi=(300, 300))),
            "palette.pcx": (picture.convert("P"), {}),
            "gray.pcx": (picture.convert("L"), {}),
            "bits.pcx": (picture.convert("1"), {}),
            "plain.ppm": (picture, {}),
            "gray.pgm": (picture.convert("L"), {}),
            "deep.pgm": (picture.convert("I"), {}),
            "bits.pbm": (picture.convert("1"), {}),
            "plain.dds": (picture, {}),
            "alpha.dds": (rgba, {}),
            "several.icns": (rgba.resize((256, 256)), {}),
        }
        with tempfile.TemporaryDirectory() as folder:
            paths = {}
            for name, (image, options) in files.items():
                paths[name] = os.path.join(folder, name)
                image.save(paths[name], **options)
            self.check(paths, len(files))
            # What must be known, not only agree where it is.
            by_name = dict(zip(files, describe(paths.values())))
        for name, field, value in (
            ("dpi.jpg", "dpi_y", 200), ("exif.jpg", "dpi_x", 240), ("exif.jpg", "orientation", 6),
            ("icc.jpg", "has_icc", 1), ("plain.jpg", "has_icc", 0), ("several.mpo", "frames", 2),
            ("animated.png", "loop_count", 3), ("default.png", "frames", 2), ("again.gif", "loop_count", 3),
            ("endless.gif", "loop_count", 0), ("animated.gif", "frames", 3), ("animated.webp", "loop_count", 3),
            ("animated.webp", "frames", 3), ("animated_exif.webp", "orientation", 6), ("exif.webp", "dpi_x", 240),
            ("several.tiff", "frames", 3), ("alpha.tiff", "has_alpha", 1), ("cmyk.tiff", "color_space", "cmyk"),
            ("offset.jp2", "width", 40), ("offset.j2k", "height", 30), ("alpha.jp2", "channels", 4),
            ("gray_alpha.jp2", "channels", 2), ("plain.jp2", "color_space", "rgb"), ("deep.jp2", "bit_depth", 16),
            ("packed.tga", "has_alpha", 1), ("palette.tga", "color_space", "palette"), ("plain.tga", "channels", 3),
            ("bits.tga", "bit_depth", 1), ("plain.pcx", "channels", 3), ("palette.pcx", "color_space", "palette"),
            ("deep.pgm", "bit_depth", 16), ("bits.pbm", "bit_depth", 1), ("alpha.dds", "has_alpha", 1),
            ("several.icns", "width", 1024), ("cmyk.jpg", "channels", 4), ("lossless.webp", "color_space", "rgb"), ("alpha.webp", "has_alpha", 1),
        ):
            with self.subTest(name):
                self.assertEqual(by_name[name].get(field), value, f"{field} of {name}: {by_name[name]}")

    def test_the_corpus(self):
        folder = os.environ.get("IMGFLEET_CORPUS")
        if not folder:
            self.skipTest("IMGFLEET_CORPUS is not set")
        root = pathlib.Path(folder, "files")
        rows = pathlib.Path(folder, "truth.tsv").read_text(encoding="utf-8").splitlines()[1:]
        names = [row.split("\t")[0] for row in rows]
        self.check({name: str(root / name) for name in names}, 200)


if __name__ == "__main__":
    unittest.main()
