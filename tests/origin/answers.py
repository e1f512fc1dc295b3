"""What the test origin answers, and its record of what it did answer.

Both sources have one method, `answer(path, etag)`: the Answer for the next fetch of that path. `etag` is the If-Range
of a request that goes on with an earlier answer; where it names one, the same bytes are given again.
"""

import hashlib
import mimetypes
import pathlib
import string
import urllib.parse
from dataclasses import dataclass, field
from typing import Optional

from images import FORMATS, TestImage

LAST_MODIFIED = "Tue, 21 Nov 2017 12:00:00 GMT"
HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>\n" * 8


def canonical(path):
    """One spelling for all that mean the same path: clients differ in what they percent-encode and in which case."""
    return urllib.parse.quote(urllib.parse.unquote(path), safe=string.punctuation)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "text/html"
    etag: Optional[str] = None  # With its quotes.
    kind: str = "error"  # "image", "html" or "error".
    image: Optional[TestImage] = None
    attempt: int = 1


NOT_FOUND = Answer(404, b"<html><body>404 Not Found</body></html>\n")
FAILING = Answer(500, b"<html><body>500 Internal Server Error</body></html>\n")


@dataclass
class ByHash:
    """Every path of the list is answered with an image chosen by a hash of the path.

    Of a thousand paths, `missing` are not found, `html` are web pages that call themselves JPEG, `flaky` fail with 500
    the first time they are asked for, and `changing` are another image, of other dimensions, at every fetch.
    """

    images: list
    paths: Optional[frozenset] = None  # None: every path exists.
    missing: int = 40
    html: int = 30
    flaky: int = 20
    changing: int = 100
    fetches: dict = field(default_factory=dict)  # Path -> how often it was asked for anew.

    def answer(self, path, etag=None):
        if self.paths is not None and path not in self.paths:
            return NOT_FOUND
        digest = hashlib.sha256(path.encode()).digest()
        choice = int.from_bytes(digest[:8], "big")
        lot, chosen = choice % 1000, choice // 1000
        if lot < self.missing:
            return NOT_FOUND
        lot -= self.missing
        if lot < self.html:
            return Answer(200, HTML, "image/jpeg", f'"html-{len(HTML)}"', "html")
        lot -= self.html
        changes = self.flaky <= lot < self.flaky + self.changing
        if etag:
            return self._image(path, chosen, changes, self._attempt_of(etag) or self.fetches.get(path, 0) or 1)
        attempt = self.fetches[path] = self.fetches.get(path, 0) + 1
        if lot < self.flaky and attempt == 1:
            return FAILING
        return self._image(path, chosen, changes, attempt)

    def _image(self, path, chosen, changes, attempt):
        number = (chosen + (attempt if changes else 0)) % len(self.images)
        image = self.images[number]
        tag = f'"{number}-{attempt if changes else 0}"'
        return Answer(200, image.body, image.mime, tag, "image", image, attempt)

    @staticmethod
    def _attempt_of(etag):
        number = etag.strip('"').rpartition("-")[2]
        return int(number) if number.isdigit() else None


class Folder:
    """Files below a folder, as they are. `images` tells the truth about those of them that are images."""

    def __init__(self, folder, images=()):
        endings = {ending: mime for mime, ending, _ in FORMATS.values()}
        known = {image.name: image for image in images}
        self.answers = {}
        root = pathlib.Path(folder)
        for file in sorted(f for f in root.rglob("*") if f.is_file()):
            body, image = file.read_bytes(), known.get(file.name)
            mime = endings.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            self.answers[f"/{file.relative_to(root)}"] = Answer(200, body, mime, tag, "image" if image else "html", image)

    def answer(self, path, etag=None):
        del etag  # Files do not change.
        return self.answers.get(path, NOT_FOUND)


class Log:
    """Every answer in the order given, for tests to compare outcomes with."""

    def __init__(self, keep=True):
        self.keep = keep
        self.entries = []
        self.requests = 0
        self.bytes_sent = 0
        self.statuses = {}

    def add(self, path, answer, status, sent, client=""):
        self.requests += 1
        self.bytes_sent += sent
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.keep:
            self.entries.append((path, answer, status, client))

    def refused(self):
        """A request was answered 429, whatever it asked for. Counted, not kept."""
        self.requests += 1
        self.statuses[429] = self.statuses.get(429, 0) + 1

    def rows(self, prefix=""):
        """One dictionary an answer for paths that begin so; `status` is what was sent, 206 for a range, `client` the address
        that asked."""
        for path, answer, status, client in self.entries:
            if not path.startswith(prefix):
                continue
            row = {"path": path, "attempt": answer.attempt, "status": status, "kind": answer.kind, "client": client,
                   "size_bytes": len(answer.body), "etag": answer.etag or "", "content_type": answer.content_type,
                   "sha256": hashlib.sha256(answer.body).hexdigest()}
            if answer.image:
                row.update(format=answer.image.format, width=answer.image.width, height=answer.image.height)
            yield row
