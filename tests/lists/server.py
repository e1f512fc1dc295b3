"""A web server of lists that breaks off, forgets, changes its mind and is slow, as told for each path; with its log."""

import http.server
import threading
import time


class List:
    """What lies at a path. `etags` are given one after the other, the last one again and again; None: no ETag."""

    def __init__(self, body, etags=('"v1"',), break_at=(), ranges=True, location=None, pieces=None):
        self.body, self.etags, self.ranges, self.location = body, list(etags), ranges, location
        self.break_at = list(break_at)  # For the first requests: after so many bytes of the body the connection ends.
        self.pieces = pieces            # (bytes, seconds): a slow body.
        self.requests = []              # The headers of each.


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lists = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        entry = self.server.lists.get(self.path)
        if entry is None:
            self.send_error(404)
            return
        number = len(entry.requests)
        entry.requests.append(dict(self.headers))
        if entry.location:
            self.send_response(302)
            self.send_header("Location", entry.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        etag = entry.etags[min(number, len(entry.etags) - 1)]
        body, first = entry.body, 0
        wanted = self.headers.get("Range")
        if wanted and entry.ranges and self.headers.get("If-Range") == etag:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        end = entry.break_at[number] if number < len(entry.break_at) else len(body)
        try:
            self.send_body(body[first:end], entry.pieces)
        except OSError:
            pass
        if end < len(body):
            self.close_connection = True

    def send_body(self, body, pieces):
        size, pause = pieces or (len(body) or 1, 0)
        for at in range(0, len(body), size):
            self.wfile.write(body[at:at + size])
            time.sleep(pause)
