#!/usr/bin/python3
"""Full depth, on its own and through a cluster: SHA-256, size and completeness are those of what the origin sent, however it
sent it; and a depth that nobody knows is refused at every door."""

import json
import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402

ALLOW = "--allow-address=127.0.0.0/8"
MANNERS = ("", "?as=gzip", "?as=chunked", "?as=whole", "?as=cut", "?as=broken")
NO_END = {"svg"}  # Announces no end.


class DepthTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cluster = cls.cluster
        cluster.start_origin("--images", "60", "--changing", "0", "--flaky", "0", "--missing", "0", "--html", "0")
        cluster.start_coordinator()
        cluster.start_worker("worker-1")
        cluster.start_gateway()
        cls.server = f"--server={cluster.coordinator_address()}"
        cls.origin_url = f"http://127.0.0.1:{cluster.origin['http']}"
        cls.urls = [f"{cls.origin_url}/{i}.jpg{manner}" for i in range(80) for manner in MANNERS]

    def check(self, outcomes):
        """Each outcome against the origin's own record."""
        self.assertEqual([outcome["url"] for outcome in outcomes], self.urls)
        log, complete, cut = self.cluster.origin_log(), 0, 0
        for outcome in outcomes:
            path = outcome["url"][len(self.origin_url):]
            row = log[path][-1]
            with self.subTest(path=path, format=row["format"]):
                if path.endswith("broken"):
                    self.assertEqual(outcome["error"]["reason"], "PROTOCOL_ERROR")
                    self.assertEqual(outcome["attempts"], 2)
                    continue
                if path.endswith("cut") and outcome["status"] == "error":  # Cut in its header.
                    self.assertIn(outcome["error"]["reason"], ("TRUNCATED", "CORRUPT", "UNSUPPORTED_FORMAT", "NOT_AN_IMAGE"))
                    continue
                self.assertEqual(outcome["status"], "ok", outcome)
                self.assertEqual((outcome["format"], outcome["width"], outcome["height"]),
                                 (row["format"], row["width"], row["height"]))
                self.assertEqual((outcome["size_bytes"], outcome["size_source"], outcome["sha256"]),
                                 (row["size_bytes"], "BODY", row["sha256"]))
                if row["format"] in NO_END:
                    self.assertNotIn("complete", outcome)
                else:
                    self.assertIs(outcome["complete"], not path.endswith("cut"))
                    complete += outcome["complete"]
                    cut += not outcome["complete"]
        self.assertGreater(complete, 200)
        self.assertGreater(cut, 40)

    def test_alone_and_with_a_server(self):
        for where in (ALLOW, self.server):
            with self.subTest(where=where):
                done = harness.run_cli(["info", "-", where, "--depth=full", "--attempts=2"], "\n".join(self.urls).encode())
                self.check([json.loads(line) for line in done.stdout.splitlines()])

    def test_through_the_gateway(self):
        body = json.dumps({"urls": self.urls, "depth": "full", "limits": {"max_attempts": 2}})
        status, headers, _ = self.cluster.http("POST", "/api/v1/jobs", body, {"Content-Type": "application/json"})
        self.assertEqual(status, 202)
        job = headers["Location"]
        harness.until(lambda: self.cluster.get_json(job)["state"] == "COMPLETED", "the job to end")
        _, _, results = self.cluster.http("GET", job + "/results", headers={"Accept": "application/x-ndjson"})
        self.check([json.loads(line) for line in results.splitlines()])

    def test_header_depth_is_what_nobody_asked_deeper_than(self):
        url = self.urls[0]
        for body in ({"urls": [url]}, {"urls": [url], "depth": "header"}):
            status, _, answer = self.cluster.http("POST", "/api/v1/images_info", json.dumps(body),
                                                  {"Content-Type": "application/json", "Accept": "application/x-ndjson"})
            self.assertEqual(status, 200)
            self.assertNotIn("sha256", json.loads(answer))
        status, _, answer = self.cluster.post("/api/v1/images_info", {"urls": [url], "depth": "full"})
        self.assertEqual((status, set(json.loads(answer)["0"]["image_info"])),
                         (200, {"image_size", "image_dimension", "image_format"}))

    def test_an_unknown_depth_is_refused(self):
        for path in ("/api/v1/images_info", "/api/v1/images_info_async", "/api/v1/jobs"):
            status, _, answer = self.cluster.post(path, {"urls": [self.urls[0]], "depth": "deep"})
            self.assertEqual(status, 422)
            self.assertEqual(json.loads(answer)["detail"], '"depth" is to be "header", "full" or "pixels"')
        done = harness.run_cli(["info", "-", ALLOW, "--depth=deep"], b"")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"header", done.stderr)


if __name__ == "__main__":
    unittest.main()
