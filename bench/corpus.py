"""The images that the benchmarks fetch: 20,000 names for a few hundred bodies, mixed as on the web.

70 % JPEG, 15 % PNG, 10 % WebP, 5 % GIF; sizes log-normal with a median of 70 KB, from 2 KB up to 3 MB. A quarter of the JPEGs carry
an EXIF thumbnail before their dimensions, and one in a hundred so much of it that the first 12 KiB do not reach them.
The files are made once, from fixed seeds, and padded to their size in the way each format allows.
"""

import io
import os
import pathlib
import random
import shutil
import struct
import zlib

from PIL import Image

BODIES = 400
NAMES = 20_000
VERSION = "4"  # Of this file's output; another number makes the folder anew.
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}


def picture(rng, size):
    """A picture that fits into `size` bytes, most of the time: noise, smoothed and stretched."""
    area = min(size * 2, 2_000_000)
    width = int((area * rng.uniform(0.5, 2)) ** 0.5)
    height = area // width
    small = Image.effect_noise((max(1, width // 16), max(1, height // 16)), rng.randint(20, 90)).resize((width, height))
    return Image.merge("RGB", [small, small.transpose(Image.FLIP_LEFT_RIGHT), small.transpose(Image.FLIP_TOP_BOTTOM)])


def jpeg_segments(rng, index):
    """What stands between a JPEG's start and its dimensions: nothing, a thumbnail, or metadata of many kilobytes."""
    if index % 100 == 7:
        size = rng.randint(13_000, 60_000)
    elif index % 4 == 0:
        size = rng.randint(2_000, 9_000)
    else:
        return b""
    return b"\xff\xe1" + struct.pack(">H", size + 2) + b"Exif\0\0".ljust(size, b"\0")


def encode(rng, kind, index, size):
    out = io.BytesIO()
    image = picture(rng, size)
    if kind == "JPEG":
        image.save(out, kind, quality=70)
        body = out.getvalue()
        body = body[:2] + jpeg_segments(rng, index) + body[2:]
        return body + b"\0" * max(0, size - len(body))
    if kind == "PNG":
        image.resize((image.width // 2, image.height // 2)).quantize(64).save(out, kind)
        body = out.getvalue()
        padding = b"paDd" + rng.randbytes(max(0, size - len(body) - 12))
        return body[:-12] + struct.pack(">I", len(padding) - 4) + padding + struct.pack(">I", zlib.crc32(padding)) + body[-12:]
    if kind == "GIF":
        image.resize((image.width // 3, image.height // 3)).quantize(64).save(out, kind)
        body = out.getvalue()
        return body + b"\0" * max(0, size - len(body))
    image.save(out, kind, quality=60, method=0)
    body = out.getvalue()
    padding = rng.randbytes(max(0, size - len(body) - 8) // 2 * 2)
    body += b"PADD" + struct.pack("<I", len(padding)) + padding
    return body[:4] + struct.pack("<I", len(body) - 8) + body[8:]


def make(folder):
    """Fills `folder` unless that was done before; gives the names, in the order of the list."""
    folder = pathlib.Path(folder)
    stamp = folder / "version"
    names = folder / "names.txt"
    if not stamp.exists() or stamp.read_text() != VERSION:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "images").mkdir(parents=True)
        rng = random.Random(20)
        kinds = ["JPEG"] * 14 + ["PNG"] * 3 + ["WEBP"] * 2 + ["GIF"]
        bodies = []
        for index in range(BODIES):
            kind = kinds[index % len(kinds)]
            size = int(min(3_000_000, max(2_000, rng.lognormvariate(11.156, 1.1))))
            if index in (3, 130, 257):  # The long tail, which 400 draws may miss.
                size = 3_000_000
            path = folder / f"body{index}.{EXTENSIONS[kind]}"
            path.write_bytes(encode(rng, kind, index // len(kinds) * 3 + index, size))
            bodies.append(path)
        listed = []
        for number in range(NAMES):
            body = bodies[number % BODIES] if number < BODIES else rng.choice(bodies)
            name = f"images/{number:05d}{body.suffix}"
            os.link(body, folder / name)
            listed.append(name)
        rng.shuffle(listed)
        names.write_text("\n".join(listed) + "\n")
        stamp.write_text(VERSION)
    return names.read_text().split()
