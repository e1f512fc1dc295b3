"""What tests of the gateway's HTTP share: raw connections, and a web server whose images come when a test says so."""

import contextlib
import http.server
import pathlib
import socket
import struct
import threading
import time
import zlib


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(height * (1 + 3 * width)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class HeldOrigin:
    """/quick is a PNG; /held is one too once `release` is set; /missing is not there; all else is no image. Each answer takes
    `delay` seconds."""

    def __init__(self, delay=0.0):
        origin = self
        self.release = threading.Event()
        self.held = threading.Event()  # Somebody waits for that.

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path.startswith("/held"):
                    origin.held.set()
                    origin.release.wait(60)
                time.sleep(delay)
                body = png(30, 20) if self.path.startswith(("/held", "/quick")) else b"no image, however long you look at it\n"
                with contextlib.suppress(OSError):  # A cancelled job's worker is gone.
                    self.answer(body)

            def answer(self, body):
                self.send_response(404 if self.path.startswith("/missing") else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class Raw:
    """A connection on which bytes are sent as they are and answers are read as they come."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def request(self, method, target, body="", version="1.1", headers=""):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.send(f"{method} {target} HTTP/{version}\r\nHost: test\r\n{length}{headers}\r\n{body}")

    def head(self):
        """(status, headers with lower-case names) of the next answer; (None, {}) where the connection has ended."""
        first = self.file.readline()
        if not first:
            return None, {}
        headers = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(first.split()[1]), headers

    def chunk(self):
        """The next chunk's bytes: b"" for the last, None where the connection ended before."""
        line = self.file.readline()
        if not line:
            return None
        data = self.file.read(int(line, 16))
        self.file.readline()
        return data

    def answer(self, bodyless=False):
        """(status, headers, body): one whole answer, of whatever framing."""
        status, headers = self.head()
        if status is None or bodyless:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join(iter(self.chunk, b""))
        if "content-length" in headers:
            return status, headers, self.file.read(int(headers["content-length"]))
        return status, headers, self.file.read()

    def ended(self):
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


def memory(pid, kind="VmRSS"):
    """Bytes of a process: VmRSS now, VmHWM at most."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(kind)


def sanitized(pid):
    """Whether the process keeps a sanitizer's shadow, so that its memory says nothing about the program's."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    return "libasan" in maps or "libtsan" in maps
