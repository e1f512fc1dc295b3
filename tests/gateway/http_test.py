#!/usr/bin/python3
"""HTTP as the gateway speaks it, over real sockets: streaming, pipelines, limits, clients that misbehave."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import harness  # noqa: E402
import sockets  # noqa: E402

REQUEST_TIMEOUT = 1.0
MAX_BODY = 1 << 20
INFO = "/api/v1/images_info"
NDJSON = "Accept: application/x-ndjson\r\n"


class HttpTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin = sockets.HeldOrigin()
        cls.addClassCleanup(cls.origin.close)
        cls.cluster.start_coordinator()
        cls.cluster.start_worker("worker-1")
        cls.gateway = cls.cluster.start_gateway(f"--request-timeout={REQUEST_TIMEOUT}s", "--idle-timeout=3s",
                                                "--write-timeout=4s", f"--max-body={MAX_BODY}")
        # Rows that the coordinator refuses by itself: outcomes of any number without a worker's or an origin's time.
        with open(os.path.join(cls.cluster.lists, "refused.tsv"), "w", encoding="utf-8") as file:
            file.write("id\turl\n" + "".join(f"row-{i}\tnowhere:{i:060}\n" for i in range(300_000)))

    def setUp(self):
        self.origin.release.clear()

    def raw(self, **options):
        raw = sockets.Raw(self.cluster.http_port, **options)
        self.addCleanup(raw.close)
        return raw

    def urls(self, *paths):
        return json.dumps({"urls": [self.origin.url + path for path in paths]})

    def job_of(self, *paths):
        """The same as a list in a file, which makes a job: few URLs alone are answered without one."""
        name = f"list-{len(os.listdir(self.cluster.lists))}.txt"
        with open(os.path.join(self.cluster.lists, name), "w", encoding="utf-8") as file:
            file.writelines(self.origin.url + path + "\n" for path in paths)
        return json.dumps({"filepath": name})

    def latest(self):
        return self.cluster.get_json("/api/v1/jobs?page_size=1")["jobs"][0]

    def curl(self, *arguments):
        return subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "60", *arguments], capture_output=True, check=False,
                              timeout=90)

    # --- streams

    def test_outcomes_arrive_while_the_job_is_running(self):
        raw = self.raw()
        raw.request("POST", INFO, self.job_of("/held/1", "/quick/1"), headers=NDJSON)
        status, headers = raw.head()
        self.assertEqual((status, headers["transfer-encoding"]), (200, "chunked"))
        first = json.loads(raw.chunk())
        self.assertEqual((first["index"], first["width"], first["height"]), (1, 30, 20))
        self.assertEqual(self.latest()["state"], "RUNNING")
        self.origin.release.set()
        self.assertEqual(json.loads(raw.chunk())["index"], 0)
        self.assertEqual(raw.chunk(), b"")
        raw.request("GET", "/ping")  # The connection lives on.
        self.assertEqual(raw.answer()[0], 200)

    def test_a_client_that_leaves_cancels_its_job(self):
        raw = self.raw()
        raw.request("POST", INFO, self.job_of("/held/2", "/quick/2"), headers=NDJSON)
        raw.head()
        raw.chunk()
        job = self.latest()["id"]
        raw.close()
        harness.until(lambda: self.cluster.get_json(f"/api/v1/jobs/{job}")["state"] == "CANCELLED", "the job to be cancelled")

    def test_a_client_that_ends_its_sending_side_counts_as_gone(self):
        raw = self.raw()
        raw.request("GET", "/ping")
        raw.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(raw.answer()[0], 200)  # What is answered at once is still answered.
        raw = self.raw()
        raw.request("POST", INFO, self.job_of("/held/8", "/quick/8"))
        raw.head()
        job = self.latest()["id"]
        raw.socket.shutdown(socket.SHUT_WR)
        harness.until(lambda: self.cluster.get_json(f"/api/v1/jobs/{job}")["state"] == "CANCELLED", "the job to be cancelled")

    def test_a_job_cancelled_by_another_is_a_broken_answer_for_curl(self):
        for http, code in (("--http1.1", 18), ("--http1.0", 56)):  # Transfer closed early; reset.
            with self.subTest(http):
                curl = subprocess.Popen(["curl", "-sSN", "--noproxy", "*", http, "-d", self.job_of("/held/3", "/quick/3"),
                                         self.cluster.url(INFO)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertIn(b"{", curl.stdout.read(1))
                self.cluster.http("POST", f"/api/v1/jobs/{self.latest()['id']}:cancel")
                out, error = curl.communicate(timeout=60)
                self.assertEqual(curl.returncode, code, error)
                self.assertNotIn(b"}\n}", out)

    def test_a_client_that_reads_nothing_costs_little_and_stops_nobody(self):
        before = sockets.memory(self.gateway.popen.pid)
        silent = [self.raw(receive_buffer=4096) for _ in range(4)]
        for raw in silent:
            raw.request("POST", INFO, json.dumps({"filepath": "refused.tsv"}), headers=NDJSON)
        for raw in silent:
            self.assertEqual(raw.head()[0], 200)
        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.cluster.http("GET", "/ping")[0], 200)
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn('requests_in_work{route="POST /api/v1/images_info"} 4', self.gateway.metrics())
        # After the write timeout they are let go.
        harness.until(lambda: 'requests_in_work{route="POST /api/v1/images_info"} 0' in self.gateway.metrics(),
                      "the silent clients to be let go")
        if not sockets.sanitized(self.gateway.popen.pid):
            self.assertLess(sockets.memory(self.gateway.popen.pid, "VmHWM") - before, 60 << 20)

    # --- requests

    def test_pipelined_requests_are_answered_in_order(self):
        raw = self.raw()
        body = self.urls("/quick/4")
        raw.send(f"POST {INFO} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                 "GET /ping HTTP/1.1\r\nHost: t\r\n\r\nGET /api/none HTTP/1.1\r\nHost: t\r\n\r\n"
                 "HEAD /ping HTTP/1.1\r\nHost: t\r\n\r\nGET /ping HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        self.assertEqual(list(json.loads(raw.answer()[2])), ["0"])
        self.assertEqual(json.loads(raw.answer()[2]), {"ping": "pong"})
        self.assertEqual(raw.answer()[0], 404)
        status, headers, _ = raw.answer(bodyless=True)
        self.assertEqual((status, headers["content-length"]), (200, "17"))
        self.assertEqual(raw.answer()[1]["connection"], "close")
        self.assertTrue(raw.ended())

    def test_keep_alive_and_its_end(self):
        raw = self.raw()
        for _ in range(3):
            raw.request("GET", "/ping/")
            self.assertEqual(raw.answer()[0], 200)
        self.assertTrue(raw.ended())  # After the idle timeout.

    def test_trailing_slashes_head_and_methods(self):
        for path in ("/ping/", "/ping//", "/api/v1/jobs/", "/"):
            self.assertEqual(self.cluster.http("GET", path)[0], 200, path)
        self.assertEqual(self.cluster.http("POST", INFO + "/", '{"urls": []}')[::2], (200, b"{}\n"))
        for path in ("/", "/ping", "/api/v1/jobs", "/page.js"):
            status, headers, body = self.cluster.http("HEAD", path)
            self.assertEqual((status, body), (200, b""))
            self.assertEqual(int(headers["Content-Length"]), len(self.cluster.http("GET", path)[2]), path)
        for method, path, allowed in (("DELETE", "/api/v1/jobs", "GET, HEAD, POST"), ("GET", INFO, "POST"),
                                      ("PUT", "/ping", "GET, HEAD"), ("POST", "/page", "GET, HEAD")):
            status, headers, body = self.cluster.http(method, path)
            self.assertEqual((status, headers["Allow"]), (405, allowed))
            self.assertEqual(json.loads(body)["reason"], "METHOD_NOT_ALLOWED")
        self.assertEqual(self.cluster.http("GET", "/api/v1/none")[0], 404)
        self.assertEqual(self.cluster.http("GET", "/api/v1/jobs/01900000-0000-7000-8000-000000000001/results")[0], 404)

    def test_http_1_0(self):
        with sockets.Raw(self.cluster.http_port) as raw:
            raw.send("GET /ping HTTP/1.0\r\n\r\n")
            status, headers, body = raw.answer()
            self.assertEqual((status, headers["connection"], json.loads(body)), (200, "close", {"ping": "pong"}))
            self.assertTrue(raw.ended())
        with sockets.Raw(self.cluster.http_port) as raw:
            raw.request("POST", INFO, self.urls("/quick/5"), version="1.0")
            status, headers, body = raw.answer()
            self.assertNotIn("transfer-encoding", headers)
            self.assertEqual((status, list(json.loads(body))), (200, ["0"]))

    def test_what_is_no_request_is_refused(self):
        long = "x" * (40 << 10)
        for request, code in (
                ("\x16\x03\x01\x02\x00\x01\x00", 400), ("hello\r\n\r\n", 400), ("GET /ping\r\n\r\n", 400),
                ("GET /ping HTTP/1.1\r\n\r\n", 400),  # No Host.
                ("GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
                ("GET /ping HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n", 400),
                ("GET /../etc/passwd HTTP/1.1\r\nHost: t\r\n\r\n", 400),
                ("GET /api/%2e%2e/x HTTP/1.1\r\nHost: t\r\n\r\n", 400),
                ("GET /%00 HTTP/1.1\r\nHost: t\r\n\r\n", 400), ("GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n", 400),
                ("POST /ping HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
                ("POST /ping HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400),
                ("POST /ping HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
                (f"GET /ping HTTP/1.1\r\nHost: t\r\nX: {long}\r\n\r\n", 431),
                (f"GET /{long} HTTP/1.1\r\nHost: t\r\n\r\n", 431),
                (f"POST {INFO} HTTP/1.1\r\nHost: t\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n", 413),
                (f"POST {INFO} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{MAX_BODY + 1:x}\r\n"
                 + "x" * MAX_BODY + "x\r\n0\r\n\r\n", 413)):
            with self.subTest(request[:80]), sockets.Raw(self.cluster.http_port) as raw:
                raw.send(request)
                status, headers, body = raw.answer()
                self.assertEqual(status, code, body)
                self.assertEqual(headers["content-type"], "application/problem+json")
                self.assertEqual(json.loads(body)["status"], code)
                self.assertTrue(raw.ended())
        self.assertEqual(self.cluster.http("GET", "/ping")[0], 200)

    def test_expect_100_continue(self):
        raw = self.raw()
        body = self.urls("/quick/6")
        raw.send(f"POST {INFO} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n")
        self.assertEqual(raw.head()[0], 100)
        raw.send(body)
        self.assertEqual(raw.answer()[0], 200)
        raw.send(f"POST {INFO} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n")
        self.assertEqual(raw.answer()[0], 413)  # Said before a byte of the body was sent.

    def test_half_a_request_then_silence(self):
        for part in ("GET /pi", "GET /ping HTTP/1.1\r\nHost: t\r\n", f"POST {INFO} HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n{{"):
            with self.subTest(part), sockets.Raw(self.cluster.http_port) as raw:
                raw.send(part)
                began = time.monotonic()
                self.assertEqual(raw.answer()[0], 408)
                self.assertTrue(REQUEST_TIMEOUT * 0.9 < time.monotonic() - began < REQUEST_TIMEOUT + 1.5)
                self.assertTrue(raw.ended())

    def test_many_connections_at_once(self):
        raws = [self.raw() for _ in range(300)]
        for raw in raws:
            raw.request("GET", "/ping")
        for raw in raws:
            self.assertEqual(raw.answer()[0], 200)
        self.assertRegex(self.gateway.metrics(), r"imgfleet_gateway_connections \d{3}")

    # --- list files

    def test_only_list_folders_are_reachable(self):
        lists = self.cluster.lists
        with open(os.path.join(self.cluster.folder, "secret.tsv"), "w", encoding="utf-8") as file:
            file.write(f"id\turl\n0\t{self.origin.url}/quick/secret\n")
        os.symlink(os.path.join(self.cluster.folder, "secret.tsv"), os.path.join(lists, "link.tsv"))
        os.symlink(self.cluster.folder, os.path.join(lists, "folder"))
        os.mkfifo(os.path.join(lists, "pipe.tsv"))
        for path in ("../secret.tsv", f"{lists}/../secret.tsv", f"{self.cluster.folder}/secret.tsv", "link.tsv", "folder/secret.tsv",
                     "/etc/passwd", "none.tsv", "", ".", lists, "pipe.tsv", "a\u0000b", "ftp://example.com/list.tsv", 7, None):
            for endpoint in (INFO, INFO + "_async"):
                status, _, body = self.cluster.post(endpoint, {"filepath": path})
                self.assertEqual((status, json.loads(body)["error"]), (422, "Invalid input file url"), path)

    def test_a_hundred_megabytes_of_list_take_bounded_memory(self):
        row = "%d\tnowhere:" + "x" * 180 + "\n"
        path = os.path.join(self.cluster.lists, "large.tsv")
        rows, size = 0, 0
        with open(path, "w", encoding="utf-8") as file:
            file.write("id\turl\n")
            while size < 100e6:
                size += file.write(row % rows)
                rows += 1
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.http_port, timeout=300)
        self.addCleanup(connection.close)
        connection.request("POST", INFO, json.dumps({"filepath": "large.tsv"}), {"Accept": "application/x-ndjson"})
        answer = connection.getresponse()
        lines = sum(piece.count(b"\n") for piece in iter(lambda: answer.read(1 << 20), b""))
        os.unlink(path)
        self.assertEqual(lines, rows)
        most = sockets.memory(self.gateway.popen.pid, "VmHWM")
        print(f"{rows} rows, {size / 1e6:.0f} MB of list in {time.monotonic() - began:.1f} s; the gateway's memory was at most "
              f"{most / 1e6:.0f} MB", file=sys.stderr)
        if not sockets.sanitized(self.gateway.popen.pid):
            self.assertLess(most, 100e6)

    def test_curl_takes_a_whole_answer(self):
        done = self.curl("-f", "-d", self.urls("/quick/7", "/missing", "/text"), self.cluster.url(INFO))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)), 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
