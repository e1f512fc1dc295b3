"""Images to be measured in tests and in the demo: every web format, made anew from fixed seeds.

make_images() gives the same images on every call; with the same libraries also the same bytes, but for a pad byte that
libtiff leaves to chance. Each image carries the truth about itself: format, stored width and height, and so its size.
AVIF and HEIC come from heif-enc (Debian's libheif-examples), SVG and CUR are put together here, the rest is Pillow's.
"""

import io
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
from dataclasses import dataclass

from PIL import Image

# What imgfleet calls a format -> media type, file ending, and the name that API v1 shows (Pillow's, where it has one).
FORMATS = {
    "jpeg": ("image/jpeg", ".jpg", "JPEG"),
    "png": ("image/png", ".png", "PNG"),
    "gif": ("image/gif", ".gif", "GIF"),
    "webp": ("image/webp", ".webp", "WEBP"),
    "bmp": ("image/bmp", ".bmp", "BMP"),
    "ico": ("image/vnd.microsoft.icon", ".ico", "ICO"),
    "cur": ("image/vnd.microsoft.icon", ".cur", "CUR"),
    "svg": ("image/svg+xml", ".svg", "SVG"),
    "tiff": ("image/tiff", ".tiff", "TIFF"),
    "avif": ("image/avif", ".avif", "AVIF"),
    "heic": ("image/heic", ".heic", "HEIF"),
}


@dataclass(frozen=True)
class TestImage:
    name: str  # A file name with the usual ending.
    format: str  # imgfleet's name, lower case.
    width: int  # Stored pixels.
    height: int
    body: bytes

    @property
    def mime(self):
        return FORMATS[self.format][0]


def picture(rng, width, height, mode="RGB"):
    """Soft clouds, so that encoders meet something like a photograph."""
    small = Image.frombytes("RGB", (8, 8), rng.randbytes(8 * 8 * 3))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def saved(image, pillow_format, **options):
    out = io.BytesIO()
    image.save(out, pillow_format, **options)
    return out.getvalue()


def with_segments(jpeg, segments):
    """The JPEG with APPn segments put before its frame header: [(marker, payload)]."""
    extra = b"".join(struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload for marker, payload in segments)
    return jpeg[:2] + extra + jpeg[2:]


def exif_orientation(value):
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, value, 0, 0)
    return (0xE1, b"Exif\0\0" + tiff)


def make_jpeg(rng, width, height, serial):
    mode = "L" if serial % 7 == 3 else "RGB"
    body = saved(picture(rng, width, height, mode), "JPEG", quality=60 + serial % 35, progressive=serial % 3 == 1)
    if serial % 5 == 2:
        body = with_segments(body, [exif_orientation(1 + serial % 8)])
    if serial % 9 == 4:  # A header that needs a second request: colour profile and preview first.
        body = with_segments(body, [(0xE2, rng.randbytes(60000)), (0xED, rng.randbytes(30000))])
    return body


def make_png(rng, width, height, serial):
    image = picture(rng, width, height, ("RGB", "RGBA", "L", "P")[serial % 4])
    if serial % 6 == 5:  # APNG
        frames = [picture(rng, width, height) for _ in range(3)]
        return saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=80)
    return saved(image, "PNG", compress_level=1)


def make_gif(rng, width, height, serial):
    frames = [picture(rng, width, height, "P") for _ in range(3 if serial % 2 else 1)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80)


def make_webp(rng, width, height, serial):
    image = picture(rng, width, height, "RGBA" if serial % 3 == 1 else "RGB")
    if serial % 5 == 4:
        return saved(image, "WEBP", save_all=True, append_images=[picture(rng, width, height, image.mode)], method=0)
    return saved(image, "WEBP", lossless=serial % 4 == 2, quality=70, method=0)


def make_bmp(rng, width, height, _):
    return saved(picture(rng, width, height), "BMP")


def make_ico(rng, width, _height, _serial):
    sizes = [(side, side) for side in (16, 32, width)]
    return saved(picture(rng, width, width), "ICO", sizes=sizes)


def make_cur(rng, width, height, serial):
    image = picture(rng, width, height, "RGBA")
    if serial % 2:
        body = saved(image, "PNG")
    else:  # A bitmap without file header, twice as high as it looks: the mask lies behind the pixels.
        mask = bytes((width + 31) // 32 * 4 * height)
        body = struct.pack("<IiiHHIIiiII", 40, width, height * 2, 1, 32, 0, 0, 0, 0, 0, 0) + image.tobytes() + mask
    return struct.pack("<HHH", 0, 2, 1) + struct.pack("<BBBBHHII", width, height, 0, 0, 3, 4, len(body), 22) + body


def make_svg(_rng, width, height, serial):
    size = ('width="{0}" height="{1}"', 'width="{0}px" height="{1}px" viewBox="0 0 10 10"',
            'viewBox="0 0 {0} {1}"')[serial % 3].format(width, height)
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- drawing {serial} -->\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="5" height="5"/></svg>\n').encode()


def make_tiff(rng, width, height, serial):
    # libtiff, which compresses, writes the directory behind the pixels; Pillow itself writes it first.
    options = {"compression": "tiff_lzw"} if serial % 2 else {}
    return saved(picture(rng, width, height), "TIFF", **options)


def make_heif(rng, width, height, ending, flags):
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.png"), os.path.join(folder, "out" + ending)
        picture(rng, width, height).save(source)
        subprocess.run(["heif-enc", *flags, "-q", "40", "-o", target, source], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return pathlib.Path(target).read_bytes()


# Share of each format in a hundred, its maker, and its range of sides.
MIX = (
    ("jpeg", 44, make_jpeg, (1, 1200)),
    ("png", 16, make_png, (1, 700)),
    ("webp", 10, make_webp, (1, 500)),
    ("gif", 8, make_gif, (1, 300)),
    ("svg", 6, make_svg, (1, 2000)),
    ("bmp", 4, make_bmp, (1, 200)),
    ("tiff", 4, make_tiff, (1, 300)),
    ("ico", 4, make_ico, (33, 256)),
    ("cur", 4, make_cur, (16, 128)),
)
# AVIF and HEIC take a tenth of a second each: these few, with even sides.
HEIF = ((64, 64), (128, 96), (200, 120))


def make_images(count=200):
    """`count` images of all formats, mixed as a web page has them, no two of the same width and height and format."""
    rng = random.Random(20171121)
    images, taken = [], set()

    def add(kind, width, height, body):
        images.append(TestImage(f"{kind}-{len(images):04d}{FORMATS[kind][1]}", kind, width, height, body))

    for width, height in HEIF:
        add("avif", width, height, make_heif(rng, width, height, ".avif", ["-A"]))
        add("heic", width, height, make_heif(rng, width, height, ".heic", []))
    for kind, share, maker, (low, high) in MIX:
        for serial in range(max(3, share * count // 100)):
            while True:
                width, height = rng.randint(low, high), rng.randint(low, high)
                if kind == "ico":
                    height = width
                if (kind, width, height) not in taken:
                    break
            taken.add((kind, width, height))
            add(kind, width, height, maker(rng, width, height, serial))
    random.Random(1).shuffle(images)
    return images


def cached_images(folder, count=200):
    """As make_images, kept in `folder` between calls."""
    folder = pathlib.Path(folder)
    index = folder / f"images-{count}.json"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = make_images(count)
        for image in images:
            (folder / image.name).write_bytes(image.body)
        partial = index.with_suffix(".part")
        partial.write_text(json.dumps([[i.name, i.format, i.width, i.height] for i in images]))
        partial.rename(index)  # Last, so that a broken-off run starts over.
        return images
    return [TestImage(name, kind, width, height, (folder / name).read_bytes())
            for name, kind, width, height in json.loads(index.read_text())]
