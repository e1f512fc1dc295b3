#!/usr/bin/python3
"""`imgfleet info`, as it is installed, against origins that ask for patience: one that allows so many requests a second, one
that wants silence for longer than items wait in the worker, one that wants it for longer than anybody waits."""

import concurrent.futures
import http.server
import json
import struct
import sys
import threading
import time
import unittest
import urllib.request
import zlib

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(110))) + chunk(b"IEND", b""))


class Origin:
    """Answers with an image what `refuses` lets pass; `refuses(now)` is None, or the headers of a 429."""

    def __init__(self, refuses):
        self.times, self.refused, lock, body = [], 0, threading.Lock(), png()
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with lock:
                    now = time.monotonic()
                    origin.times.append(now)
                    headers = refuses(now)
                    origin.refused += headers is not None
                self.send_response(200 if headers is None else 429)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if headers is None else 0))
                self.end_headers()
                if headers is None:
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def measure(self, items, *flags):
        """The outcomes, and the seconds they took."""
        port = self.server.server_address[1]
        urls = "".join(f"http://127.0.0.1:{port}/{i}.png\n" for i in range(items))
        begin = time.monotonic()
        done = harness.run_cli(["--allow-address=127.0.0.0/8", *flags, "info", "-", "--quiet"], urls.encode())
        return [json.loads(line) for line in done.stdout.splitlines()], time.monotonic() - begin


def bucket(rate, burst):
    """What an origin refuses that allows `rate` requests a second, and so many at once after a rest."""
    state = {"tokens": burst, "last": time.monotonic()}

    def refuses(now):
        state["tokens"] = min(burst, state["tokens"] + rate * (now - state["last"]))
        state["last"] = now
        if state["tokens"] < 1:
            return {}
        state["tokens"] -= 1
        return None

    return refuses


def measure_limited(name, items, *origin_flags):
    """(name, outcomes, seconds, what the origin counted) of a list at a test origin that allows 20 requests a second."""
    with harness.Cluster() as cluster:
        cluster.start_origin("--images", "20", "--rate", "20", "--burst", "20", "--no-log", *origin_flags,
                             *(f"--{trouble}=0" for trouble in ("missing", "html", "flaky", "changing")))
        base = f"http://127.0.0.1:{cluster.origin['http']}"
        urls = "".join(f"{base}/{i}.png\n" for i in range(items))
        begin = time.monotonic()
        done = harness.run_cli(["--allow-address=127.0.0.0/8", "info", "-", "--quiet"], urls.encode(), patience=150)
        seconds = time.monotonic() - begin
        with urllib.request.urlopen(f"{base}/_origin/stats", timeout=60) as stats:
            return name, [json.loads(line) for line in done.stdout.splitlines()], seconds, json.load(stats)


class PoliteTest(unittest.TestCase):
    def test_twenty_requests_a_second_near_far_and_with_retry_after(self):
        # At the same time: they mostly wait.
        items = 600
        cases = {"near": [], "100 ms away": ["--delay-ms=100"], "Retry-After": ["--retry-after=1"],
                 "100 ms away, Retry-After": ["--delay-ms=100", "--retry-after=1"]}
        with concurrent.futures.ThreadPoolExecutor(len(cases)) as threads:
            runs = [threads.submit(measure_limited, name, items, *flags) for name, flags in cases.items()]
        for name, outcomes, seconds, stats in (run.result() for run in runs):
            with self.subTest(name):
                refused, requests = stats["statuses"].get("429", 0), stats["requests"]
                print(f"{name}: {refused} of {requests} refused, {seconds:.1f} s")
                self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * items)
                self.assertLess(refused, 0.05 * requests)
                self.assertGreater(items / seconds, 0.4 * 20)

    def test_a_limited_origin_is_measured_to_the_end_and_seldom_refuses(self):
        rate, items = 60, 300
        origin = Origin(bucket(rate, 10))
        outcomes, seconds = origin.measure(items, "--threads=3")
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * items)
        self.assertLess(origin.refused, 0.05 * len(origin.times))
        self.assertGreater(items / seconds, 0.4 * rate)

    def test_items_are_put_off_for_as_long_as_the_origin_wants(self):
        begin = time.monotonic()
        origin = Origin(lambda now: {"Retry-After": "4"} if now - begin < 4 else None)
        outcomes, seconds = origin.measure(100, "--max-retry-after=1s")
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * 100)
        self.assertGreaterEqual(seconds, 3)
        # Only those that were under way when it said so.
        self.assertLessEqual(origin.refused, 8)

    def test_a_wait_beyond_all_patience_ends_the_items(self):
        origin = Origin(lambda _: {"Retry-After": "7200"})
        outcomes, seconds = origin.measure(50)
        for outcome in outcomes:
            self.assertEqual(outcome["error"]["reason"], "HTTP_STATUS")
            self.assertIn("the origin answered 429 and asked to wait", outcome["error"]["message"])
        self.assertEqual(len(outcomes), 50)
        self.assertLess(seconds, 20)
        self.assertLessEqual(origin.refused, 8)

    def test_items_that_are_put_off_again_and_again_end(self):
        origin = Origin(lambda _: {"Retry-After": "2"})
        outcomes, _ = origin.measure(20, "--max-retry-after=1s")
        self.assertEqual(len(outcomes), 20)
        for outcome in outcomes:
            self.assertEqual(outcome["error"]["reason"], "HTTP_STATUS")
            self.assertTrue(outcome["error"]["retryable"])


if __name__ == "__main__":
    unittest.main()
