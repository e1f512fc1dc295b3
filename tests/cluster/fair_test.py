#!/usr/bin/python3
"""A one-item job submitted while a job of 200,000 items on a slow origin runs is done long before that one, and an image asked
for at once is answered: how fast, bench/express.py measures."""

import http.server
import json
import sys
import threading
import time
import unittest
import urllib.parse

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import harness  # noqa: E402
import sockets  # noqa: E402

ITEMS = 200_000
SLOW = 10  # Seconds.


class SlowOrigin(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802
        if self.path.startswith("/slow"):
            time.sleep(SLOW)
        body = sockets.png(30, 20)
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class FairTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin = SlowOrigin(("127.0.0.1", 0), Handler)
        cls.addClassCleanup(cls.origin.server_close)
        threading.Thread(target=cls.origin.serve_forever, daemon=True).start()
        cls.port = cls.origin.server_address[1]

    def test_small_work_beside_a_large_slow_job(self):
        cluster = self.cluster
        cluster.start_coordinator()
        # Every slot of the worker waits for the slow host: full concurrency there at once.
        cluster.worker_flags += [f"--map-host=slow.example=127.0.0.1:{self.port}", "--polite-exempt=slow.example"]
        worker = cluster.start_worker("worker-1", "--concurrency=64")
        cluster.start_gateway()
        with open(cluster.lists + "/large.txt", "w", encoding="utf-8") as lines:
            lines.writelines(f"http://slow.example/slow/{i}\n" for i in range(ITEMS))
        status, headers, body = cluster.post("/api/v1/jobs", {"filepath": "large.txt"})
        self.assertEqual(status, 202, body)
        large = headers["Location"]
        harness.until(lambda: 'imgfleet_worker_items_in_flight' in worker.metrics() and
                      self.gauge(worker, "imgfleet_worker_items_in_flight") >= 64, "the large job to take every slot")

        for i in range(3):
            status, headers, body = cluster.post("/api/v1/jobs", {"urls": [f"http://127.0.0.1:{self.port}/tiny/{i}"]})
            self.assertEqual(status, 202, body)
            tiny = headers["Location"]
            job = harness.until(lambda: (lambda now: now["end_time"] and now)(cluster.get_json(tiny)), "the tiny job to end")
            self.assertEqual((job["state"], job["succeeded"]), ("COMPLETED", 1))

        url = urllib.parse.quote(f"http://127.0.0.1:{self.port}/at-once", safe="")
        status, _, body = cluster.http("GET", f"/api/v1/image?url={url}")
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["width"], 30)

        job = cluster.get_json(large)
        self.assertIsNone(job["end_time"])
        self.assertLess(job["succeeded"] + job["failed"], ITEMS)
        self.assertEqual(cluster.http("POST", large + ":cancel")[0], 200)

    @staticmethod
    def gauge(process, name):
        for line in process.metrics().splitlines():
            if line.startswith(name + " ") or line.startswith(name + "{"):
                return float(line.rpartition(" ")[2])
        return 0.0


if __name__ == "__main__":
    unittest.main()
