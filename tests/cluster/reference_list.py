"""A list of 5,005 images at one https host, and how its outcomes are compared with what the origin served."""

import csv
import hashlib
import os
import urllib.parse

import answers

ROWS = 5005


def write(path):
    """Puts the list at `path`: the one that IMGFLEET_REFERENCE_LIST names, exactly as it is, or one of the same shape
    (tab-separated, CRLF, `id` and `url`, no end of line after the last row). Returns its host."""
    external = os.environ.get("IMGFLEET_REFERENCE_LIST")
    if external:
        with open(external, "rb") as source:
            content = source.read()
    else:
        rows = ["id\turl"]
        for i in range(ROWS):
            name = hashlib.sha256(str(i).encode()).hexdigest()
            ending = ("", ".jpg", ".png", "._SL1000_.jpg", "%2Bb.webp", "_cojín.jpg")[i % 6]
            rows.append(f"{i}\thttps://images.reference.example/{name[:8]}-{name[8:12]}--{name[12:40]}_{i}{ending}")
        content = "\r\n".join(rows).encode()
    with open(path, "wb") as target:
        target.write(content)
    return urllib.parse.urlsplit(next(iter(read(path).values()))).hostname


def read(path):
    """id -> URL"""
    with open(path, newline="", encoding="utf-8") as file:
        return {row["id"]: row["url"] for row in csv.DictReader(file, delimiter="\t")}


def path_of(url):
    """As the origin's log has it."""
    parts = urllib.parse.urlsplit(url)
    return answers.canonical(parts.path + ("?" + parts.query if parts.query else ""))


def images_served(given):
    return [row for row in given if row["kind"] == "image" and row["status"] in (200, 206)]


def difference(outcome, given):
    """What is wrong with a full outcome (a line of ndjson), with `given` every answer of the origin for its URL; None where it
    agrees with one of them in every field."""
    if not given:
        return "the origin was never asked"
    if outcome["status"] == "ok":
        images = images_served(given)
        # Answers of one fetch share their entity tag; those of different fetches of a changing image differ in it.
        same = [row for row in images if row["etag"] == outcome["etag"]]
        if not same:
            return f"no answer has the entity tag {outcome['etag']}: {images}"
        wanted = {name: same[0][name] for name in ("format", "width", "height", "size_bytes", "content_type")}
        got = {name: outcome[name] for name in wanted}
        return None if got == wanted else f"{got} where {wanted} was served"
    reason, http_status = outcome["error"]["reason"], outcome["error"].get("http_status")
    last = given[-1]
    if last["status"] in (404, 500):
        wanted = ("HTTP_STATUS", last["status"])
    elif last["kind"] == "html":
        wanted = ("NOT_AN_IMAGE", None)
    else:
        return f"failed with {outcome['error']}, but an image was served"
    return None if (reason, http_status) == wanted else f"{outcome['error']} where {wanted} was served"
