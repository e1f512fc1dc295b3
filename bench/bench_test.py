#!/usr/bin/python3
"""What the benchmarks stand on does what its name says: the delay delays, the bare loop fetches, the images are images."""

import http.server
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import corpus  # noqa: E402
import marks  # noqa: E402
import memory  # noqa: E402
import origin  # noqa: E402
import run  # noqa: E402
from clients import Cost  # noqa: E402


class DelayProxyTest(unittest.TestCase):
    def setUp(self):
        self.upstream = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.upstream.close)
        threading.Thread(target=self.echo, daemon=True).start()
        (self.port,) = origin.free_ports(1)
        process = subprocess.Popen(["bench/delay_proxy", str(self.port), str(self.upstream.getsockname()[1]), "25"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        origin.wait_for(self.port, process, "delay_proxy")

    def echo(self):
        while True:
            try:
                connection, _ = self.upstream.accept()
            except OSError:
                return
            threading.Thread(target=self.echo_one, args=(connection,), daemon=True).start()

    @staticmethod
    def echo_one(connection):
        with connection:
            while chunk := connection.recv(1 << 16):
                connection.sendall(chunk)

    def test_a_round_trip_takes_fifty_milliseconds_and_the_first_one_a_handshake_more(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for least in (0.100, 0.050, 0.050):
                begun = time.monotonic()
                connection.sendall(b"x")
                self.assertEqual(connection.recv(1), b"x")
                self.assertGreaterEqual(time.monotonic() - begun, least)

    def test_megabytes_pass_whole_and_the_end_is_passed_on(self):
        sent = random.Random(1).randbytes(5 << 20)
        got = bytearray()
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            def send():
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send)
            sender.start()
            while chunk := connection.recv(1 << 20):
                got += chunk
            sender.join()
        self.assertEqual(bytes(got), sent)


class BareLoopTest(unittest.TestCase):
    def test_every_url_once_over_kept_connections(self):
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked.append((self.path, self.headers["Range"]))
                body = b"x" * 100
                self.send_response(404 if self.path == "/7" else 206)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, tempfile.NamedTemporaryFile("w") as urls:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            urls.write("".join(f"http://127.0.0.1:{server.server_port}/{i}\n" for i in range(50)))
            urls.flush()
            said = json.loads(subprocess.run(["bench/bare_loop", urls.name, "4"], check=True, capture_output=True).stdout)
            server.shutdown()
        self.assertEqual(said, {"items": 50, "ok": 49, "fetched_bytes": 5000, "connections": 4})
        self.assertEqual(sorted(asked), sorted((f"/{i}", "bytes=0-12287") for i in range(50)))


class CorpusTest(unittest.TestCase):
    def test_bodies_are_whole_images_of_the_size_wanted(self):
        for kind in corpus.EXTENSIONS:
            body = corpus.encode(random.Random(1), kind, 1, 200_000)
            self.assertAlmostEqual(len(body), 200_000, delta=20, msg=kind)
            with Image.open(io.BytesIO(body)) as image:
                image.load()
                self.assertEqual(image.format, kind)

    def test_metadata_before_the_dimensions(self):
        far = corpus.encode(random.Random(1), "JPEG", 107, 200_000)
        with self.assertRaises(OSError):
            Image.open(io.BytesIO(far[:12288])).load()
        with Image.open(io.BytesIO(far)) as image:
            image.load()


class ReportTest(unittest.TestCase):
    def test_medians_and_ratio(self):
        costs = {"bare": [Cost(100, 100, 1.0, cpu, 100_000) for cpu in (0.002, 0.003, 0.9)],
                 "info": [Cost(100, 99, 2.0, cpu, 100_000) for cpu in (0.006, 0.006, 0.001)]}
        lines = run.report(origin.SCENARIOS["plain"], costs)
        info = [cell.strip() for cell in next(line for line in lines if "imgfleet info" in line).split("|")]
        self.assertEqual(info[2:7], ["50", "60.0", "2.00", "1.0", "1"])

    def test_marks(self):
        found = marks.Found(body_bytes=10_000)
        found.costs = {"plain": {"bare": [Cost(100, 100, 1, 0.002, 0)], "info": [Cost(100, 100, 1, 0.003, 100_000)],
                                 "full": [Cost(100, 7, 1, 0.001, 0)], "curlfull": [Cost(100, 100, 1, 0.001, 0)]},
                       "far": {"bare": [Cost(100, 100, 1, 0.002, 0)], "info": [Cost(100, 100, 1, 0.002, 100_000)]}}
        found.reference_seconds = 5.0
        lines, missed = marks.report(found)
        cells = {cell[1]: cell[2:-1] for cell in ([part.strip() for part in line.split("|")] for line in lines) if len(cell) > 3}
        self.assertEqual(cells["CPU of `imgfleet info`, × bare loop"], ["≤ 1.3", "1.50 (missed)", "1.00"])
        self.assertEqual(cells["bytes fetched, × bytes of the bodies"], ["≤ 0.15", "0.10", "0.10"])
        self.assertEqual(cells["CPU of full depth, × curl and SHA-256"][1], "–")  # Not measured is not cheap.
        self.assertEqual(missed, 2)


    def test_a_mark_may_be_a_least_and_what_is_only_reported_is_never_missed(self):
        found = marks.Found(body_bytes=10_000)
        found.costs = {"plain": {}}
        found.memory = found.tls_memory = memory.Footprint(4000, 130_000_000)
        found.lookups, found.bare_lookups = 9000.0, 200.0
        lines, missed = marks.report(found)
        cells = {cell[1]: cell[2:-1] for cell in ([part.strip() for part in line.split("|")] for line in lines) if len(cell) > 3}
        self.assertEqual(cells["MB of memory with 4,000 in flight"], ["≤ 120", "130.0 (missed)"])
        self.assertEqual(cells["MB of memory over TLS with 4,000 in flight"], ["", "130.0"])
        self.assertEqual(cells["distinct hosts looked up a second, engine and all"], ["≥ 10,000", "9,000 (missed)"])
        self.assertEqual(cells["the same by libcurl's resolver, a thread each"], ["", "200.0"])
        self.assertEqual(missed, 2)


class MemoryTest(unittest.TestCase):
    def test_the_origin_holds_until_the_crowd_is_complete(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "a.jpg"), "wb") as image:
                image.write(random.Random(1).randbytes(50_000))
            memory.IN_FLIGHT, memory.HOSTS = 40, ["127.0.0.1"]
            found = memory.footprint(["bench/bare_loop", "LIST", "40"], folder, folder, ["a.jpg"])
        self.assertEqual((found.in_flight, found.items, found.ok), (40, 120, 120))
        self.assertGreater(found.peak_bytes, 0)


if __name__ == "__main__":
    unittest.main()
