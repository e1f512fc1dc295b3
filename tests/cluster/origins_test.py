#!/usr/bin/python3
"""Three workers at one origin keep to what one would: an origin of 20 requests a second is measured to the end and seldom
refuses, and what it tells one of them (Retry-After), all keep to. Who asked is told by the User-Agent."""

import collections
import http.server
import json
import sys
import threading
import time
import unittest

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402
import polite_test  # noqa: E402

WORKERS = ("one", "two", "three")


class Origin:
    """Answers with an image what `refuses` lets pass; `refuses(now)` is None, or the headers of a 429."""

    def __init__(self, refuses):
        self.requests, lock, body = [], threading.Lock(), polite_test.png()
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with lock:
                    now = time.monotonic()
                    headers = refuses(now)
                    origin.requests.append((now, self.headers["User-Agent"], headers is not None))
                head = "HTTP/1.1 200 OK\r\n" if headers is None else "HTTP/1.1 429 Slow\r\n"
                for name, value in (headers or {}).items():
                    head += f"{name}: {value}\r\n"
                content = body if headers is None else b""
                self.wfile.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{path}"

    def askers(self):
        return collections.Counter(asker for _, asker, _ in self.requests)


def measure(urls, *coordinator_flags):
    """The outcomes of the list, measured by three workers, and the seconds that took."""
    with harness.Cluster() as cluster:
        cluster.start_coordinator(*coordinator_flags)
        for name in WORKERS:
            cluster.start_worker(name, f"--user-agent={name}", "--threads=1")
        begin = time.monotonic()
        done = harness.run_cli(["info", "-", "--quiet", f"--server={cluster.coordinator_address()}"],
                               "".join(url + "\n" for url in urls).encode(), patience=200)
        seconds = time.monotonic() - begin
    return [json.loads(line) for line in done.stdout.splitlines()], seconds


class OriginsTest(unittest.TestCase):
    def test_three_workers_seldom_exceed_what_an_origin_allows(self):
        rate, items = 20, 600
        limited, willing = Origin(polite_test.bucket(rate, 20)), Origin(lambda _: None)
        # Mixed, so that each worker has some of the limited origin's items among its own.
        urls = [limited.url(i) if i % 12 == 0 else willing.url(i) for i in range(12 * items)]
        outcomes, seconds = measure(urls)
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * len(urls))
        refused = sum(refused for _, _, refused in limited.requests)
        print(f"{refused} of {len(limited.requests)} refused, {seconds:.1f} s, by {limited.askers()}")
        self.assertEqual(set(limited.askers()), set(WORKERS))
        self.assertLess(refused, 0.05 * len(limited.requests))
        self.assertGreater(items / seconds, 0.6 * rate)

    def test_what_one_is_told_all_keep_to(self):
        told, wait = [], 3
        origin = None

        def refuses(now):
            if told or len(origin.requests) < 3000 or len(origin.askers()) < len(WORKERS):
                return None
            told.append(now)
            return {"Retry-After": str(wait)}

        origin = Origin(refuses)
        urls = [origin.url(i) for i in range(12_000)]
        outcomes, _ = measure(urls)
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * len(urls))
        self.assertEqual(len(told), 1)
        since = [now - told[0] for now, _, _ in origin.requests if 0 < now - told[0]]
        # What was under way, and what a message takes.
        self.assertEqual([s for s in since if 0.5 < s < wait - 0.1], [])

    def test_an_operators_limit_holds_for_all_together(self):
        origin = Origin(lambda _: None)
        urls = [origin.url(i) for i in range(300)]
        outcomes, seconds = measure(urls, "--origin-limit=127.0.0.1=2,50/s")
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * len(urls))
        self.assertGreater(seconds, 0.95 * len(urls) / 50)
        times = [now for now, _, _ in origin.requests]
        most = max(sum(1 for other in times if now <= other < now + 1) for now in times)
        self.assertLessEqual(most, 56)


if __name__ == "__main__":
    unittest.main()
