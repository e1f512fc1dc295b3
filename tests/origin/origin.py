#!/usr/bin/python3
"""A web server of images for tests and the demo: HTTP/1.1 over TCP and TLS, ranges and validators as RFC 9110 has them.

  origin.py --list urls.tsv --https 0 --host images.example.com     each URL of the list is some image, see answers.py
  origin.py --folder DIR --http 8088                                the files of a folder

A query of a path may say how it is answered, without ranges: ?as=gzip (encoded), ?as=chunked, ?as=whole (a length, but no
ranges), ?as=cut (the file itself ends after three fifths), ?as=broken (the connection ends in the middle of the body).

Prints one line of JSON once it listens: {"http": PORT, "https": PORT, "ca_file": PATH}. On the HTTP port it also tells
what it did: /_origin/log (one JSON object an answer; ?prefix=/a: of paths that begin so) and /_origin/stats. Ends on SIGTERM,
or with the process that started it.
"""

import argparse
import asyncio
import collections
import ctypes
import dataclasses
import email.utils
import gzip
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import answers  # noqa: E402
import images  # noqa: E402

REASONS = {200: "OK", 206: "Partial Content", 304: "Not Modified", 400: "Bad Request", 404: "Not Found",
           405: "Method Not Allowed", 416: "Range Not Satisfiable", 429: "Too Many Requests",
           500: "Internal Server Error"}
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
LARGEST_HEAD = 64 * 1024


def render(status, headers, body=b"", head_only=False, length=None):
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", "Server: test-origin", f"Date: {today()}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status != 304:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head_only else body)


def today(cache=[0, ""]):  # pylint: disable=dangerous-default-value
    now = int(time.time())
    if cache[0] != now:
        cache[:] = [now, email.utils.formatdate(now, usegmt=True)]
    return cache[1]


def byte_range(value, size):
    """(first, last) of a Range header for one range, None where it is to be ignored, False where it lies outside."""
    match = RANGE.match(value.replace(" ", ""))
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        first, last = max(0, size - int(last)), size - 1
        return (first, last) if first <= last else False
    first, last = int(first), min(int(last or size - 1), size - 1)
    if match.group(2) and int(match.group(2)) < first:
        return None
    return (first, last) if first < size else False


class LastReply(bytes):
    """A reply after which the connection is closed."""


def in_manner(manner, about, body):
    """The whole body as ?as=MANNER wants it."""
    if manner == "gzip":
        return render(200, [*about, ("Content-Encoding", "gzip")], gzip.compress(body, 1))
    if manner == "broken":
        reply = render(200, about, body)
        return LastReply(reply[:len(reply) - max(1, len(body) // 2)])
    if manner == "chunked":
        head = render(200, [*about, ("Transfer-Encoding", "chunked")]).replace(b"Content-Length: 0\r\n", b"")
        pieces = [body[at:at + 7000] for at in range(0, len(body), 7000)]
        return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return render(200, about, body)


class Limit:
    """Allows `rate` requests a second, of which `burst` at once, whoever asks."""

    def __init__(self, rate, burst, retry_after):
        self.rate, self.burst, self.retry_after = rate, burst, retry_after
        self.tokens, self.last = burst, time.monotonic()

    def refuses(self):
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + self.rate * (now - self.last))
        self.last = now
        if self.tokens < 1:
            return True
        self.tokens -= 1
        return False

    def refusal(self):
        return render(429, [("Retry-After", str(self.retry_after))] if self.retry_after else [])


class Origin:
    """Turns requests into answers, and records them. Lives on one event loop."""

    def __init__(self, source, log, ignore_range=False, limit=None):
        self.limit = limit
        self.source = source
        self.log = log
        self.ignore_range = ignore_range
        self.rates = collections.deque(maxlen=60)  # (second, answers begun in it)
        self.connections = 0

    def respond(self, method, target, headers, client):
        if target.startswith("/_origin/"):
            return self.tell(target)
        if method not in ("GET", "HEAD"):
            return render(405, [("Allow", "GET, HEAD")])
        path = urllib.parse.urlsplit(target).path
        query = target.partition("?")[2]
        path = answers.canonical(path + "?" + query if query else path)
        named, _, manner = path.partition("?as=")
        if_range = headers.get("if-range")
        if self.limit is not None and self.limit.refuses():
            self.log.refused()
            self.count()
            return self.limit.refusal()
        answer = self.source.answer(named, if_range)
        if manner == "cut":
            answer = dataclasses.replace(answer, body=answer.body[:len(answer.body) * 3 // 5])
        status, reply = self.in_http(answer, headers, if_range, method == "HEAD", manner)
        self.log.add(path, answer, status, len(reply), client)
        self.count()
        return reply

    def in_http(self, answer, headers, if_range, head_only, manner=""):
        if answer.status != 200:
            return answer.status, render(answer.status, [("Content-Type", "text/html")], answer.body, head_only)
        size = len(answer.body)
        about = [("Content-Type", answer.content_type), ("ETag", answer.etag),
                 ("Last-Modified", answers.LAST_MODIFIED)]
        if manner:
            return 200, in_manner(manner, about, answer.body)
        if not self.ignore_range:
            about.append(("Accept-Ranges", "bytes"))
        wanted = [tag.strip() for tag in headers.get("if-none-match", "").split(",")]
        since = headers.get("if-modified-since") if "if-none-match" not in headers else None
        if answer.etag in wanted or "*" in wanted or since == answers.LAST_MODIFIED:
            return 304, render(304, about)
        whole = self.ignore_range or "range" not in headers
        if if_range is not None and if_range not in (answer.etag, answers.LAST_MODIFIED):
            whole = True
        span = None if whole else byte_range(headers["range"], size)
        if span is False:
            return 416, render(416, [("Content-Range", f"bytes */{size}")])
        if span is None:
            return 200, render(200, about, answer.body, head_only)
        first, last = span
        about.append(("Content-Range", f"bytes {first}-{last}/{size}"))
        return 206, render(206, about, answer.body[first:last + 1], head_only)

    def count(self):
        second = int(time.monotonic())
        if self.rates and self.rates[-1][0] == second:
            self.rates[-1][1] += 1
        else:
            self.rates.append([second, 1])

    def tell(self, target):
        if target.partition("?")[0] == "/_origin/log":
            prefix = target.partition("?prefix=")[2]
            body = "".join(json.dumps(row) + "\n" for row in self.log.rows(prefix)).encode()
            return render(200, [("Content-Type", "application/x-ndjson")], body)
        if target == "/_origin/stats":
            stats = {"requests": self.log.requests, "bytes_sent": self.log.bytes_sent, "statuses": self.log.statuses,
                     "connections": self.connections, "busiest_second": max((n for _, n in self.rates), default=0)}
            return render(200, [("Content-Type", "application/json")], json.dumps(stats).encode() + b"\n")
        return render(404, [])


class Connection(asyncio.Protocol):
    """One client: requests one after the other, each answered after `delay` seconds, but paths below `quick` at once."""

    def __init__(self, origin, delay, quick):
        self.origin, self.delay, self.quick = origin, delay, ("/_origin/", quick) if quick else "/_origin/"
        self.buffer = bytearray()
        self.waiting = False  # An answer is due: the next request stays in the buffer.
        self.transport = None
        self.client = None  # Its address.

    def connection_made(self, transport):
        self.transport = transport
        self.client = transport.get_extra_info("peername")[0]
        self.origin.connections += 1

    def data_received(self, data):
        self.buffer += data
        self.go_on()

    def go_on(self):
        while not self.waiting:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self.buffer) > LARGEST_HEAD:
                    self.transport.close()
                return
            head = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
            del self.buffer[:end + 4]
            try:
                method, target, _ = head[0].split(" ")
                headers = {}
                for line in head[1:]:
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
            except ValueError:
                self.transport.write(render(400, [("Connection", "close")]))
                self.transport.close()
                return
            reply = self.origin.respond(method, target, headers, self.client)
            close = headers.get("connection", "").lower() == "close" or isinstance(reply, LastReply)
            if self.delay and not target.startswith(self.quick):
                self.waiting = True
                asyncio.get_running_loop().call_later(self.delay, self.send, reply, close)
            else:
                self.send(reply, close)

    def send(self, reply, close):
        delayed, self.waiting = self.waiting, False
        if self.transport.is_closing():
            return
        self.transport.write(reply)
        if close:
            self.transport.close()
        elif delayed:
            self.go_on()


def make_certificates(folder, hosts):
    """A certificate authority and a server certificate for `hosts` below `folder`, if there are none
    yet: (CA file, server file, its key)."""
    folder = pathlib.Path(folder)
    ca, ca_key, server, request = (str(folder / n) for n in ("ca.pem", "ca.key", "server.pem", "server.csr"))
    server_key = str(folder / "server.key")
    if os.path.exists(server):
        return ca, server, server_key
    names = [f"IP:{h}" if re.fullmatch(r"[\d.]+|.*:.*", h) else f"DNS:{h}" for h in hosts]
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=" + ",".join(names) + "\nbasicConstraints=CA:false\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
            ["req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days", "30", "-subj", "/CN=Test origin CA"],
            ["req", *new_key, "-keyout", server_key, "-out", request, "-subj", "/CN=test origin"],
            ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30",
             "-extfile", str(extensions), "-out", server]):
        subprocess.run(["openssl", *command], check=True, stderr=subprocess.PIPE)
    return ca, server, server_key


def paths_of_list(file):
    """The paths of all http(s) URLs in a list of any line format: what follows the last tab, or the line."""
    paths = set()
    for line in pathlib.Path(file).read_text("utf-8-sig").splitlines():
        url = line.split("\t")[-1].strip()
        if url.startswith(("http://", "https://")):
            parts = urllib.parse.urlsplit(url)
            path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
            paths.add(answers.canonical(path))
    return frozenset(paths)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", help="answer the URLs of this list, each with an image chosen by its path")
    parser.add_argument("--folder", help="answer with the files of this folder")
    parser.add_argument("--images", type=int, default=200, help="how many distinct images to make (default 200)")
    parser.add_argument("--image-cache", help="folder that keeps the images between runs")
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="to listen at (default 127.0.0.1)")
    parser.add_argument("--http", type=int, default=0, metavar="PORT", help="0 (default) takes a free one")
    parser.add_argument("--https", type=int, metavar="PORT", help="also listen with TLS")
    parser.add_argument("--host", action="append", default=[], help="a name for the certificate; repeatable")
    parser.add_argument("--tls-dir", help="where the certificates are put, or lie (default: a temporary folder)")
    parser.add_argument("--delay-ms", type=float, default=0, help="wait before each answer")
    parser.add_argument("--quick", metavar="PREFIX", help="do not wait for paths that begin so")
    parser.add_argument("--ignore-range", action="store_true")
    parser.add_argument("--rate", type=float, metavar="N", help="allow N requests a second and answer 429 to the others")
    parser.add_argument("--burst", type=float, default=1, metavar="N", help="of which N at once (default 1)")
    parser.add_argument("--retry-after", type=int, metavar="SECONDS", help="what a 429 asks to wait")
    parser.add_argument("--no-log", action="store_true", help="count answers only")
    for kind in ("missing", "html", "flaky", "changing"):
        parser.add_argument(f"--{kind}", type=int, default=getattr(answers.ByHash, kind), help="in a thousand")
    return parser.parse_args()


async def serve(args):
    if args.folder:
        cache = args.image_cache or args.folder
        source = answers.Folder(args.folder, images.cached_images(cache, args.images) if args.image_cache else ())
    else:
        made = images.cached_images(args.image_cache, args.images) if args.image_cache else images.make_images(args.images)
        source = answers.ByHash(made, paths_of_list(args.list) if args.list else None,
                                args.missing, args.html, args.flaky, args.changing)
    limit = Limit(args.rate, args.burst, args.retry_after) if args.rate else None
    origin = Origin(source, answers.Log(keep=not args.no_log), args.ignore_range, limit)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def listen(port, context=None):
        server = await loop.create_server(lambda: Connection(origin, args.delay_ms / 1000, args.quick), args.bind, port,
                                          ssl=context, backlog=4096)
        return server.sockets[0].getsockname()[1]

    ready = {"http": await listen(args.http)}
    with tempfile.TemporaryDirectory() as scratch:
        if args.https is not None:
            ca, server, key = make_certificates(args.tls_dir or scratch, [*args.host, "localhost", "127.0.0.1"])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(server, key)
            ready.update(https=await listen(args.https, context), ca_file=ca)
        print(json.dumps(ready), flush=True)
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):  # A second one finds no loop any more.
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    asyncio.run(serve(parse_arguments()))


if __name__ == "__main__":
    main()
