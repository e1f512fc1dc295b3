#!/usr/bin/python3
"""Lists behind URLs, through the command, a coordinator and a gateway: whole and in order although connections break,
coordinators are killed and servers know no ETag; never two lists mixed; nothing inside reached."""

import gzip
import json
import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/lists"]
import harness  # noqa: E402
import server  # noqa: E402

ALLOW = "--allow-address=127.0.0.0/8"
ROWS = 20_000


def rows_of(count, first=0):
    # No URL that anybody would be asked for: each ends at once, with a typed error.
    return [f"r{i}\tnowhere:{i}" for i in range(first, first + count)]


def tsv(count=ROWS):
    return ("id\turl\n" + "\n".join(rows_of(count)) + "\n").encode()


class RemoteListTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = server.Server()

    def info(self, path, *flags, code=1):
        done = harness.run_cli(["info", self.server.url(path) if path.startswith("/") else path, *flags])
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()

    def check_whole(self, outcomes, count=ROWS):
        self.assertEqual([(o["index"], o["id"]) for o in outcomes], [(i, f"r{i}") for i in range(count)])

    def test_a_broken_connection_is_gone_on_with_where_it_was(self):
        entry = self.server.lists["/broken.tsv"] = server.List(tsv(), break_at=(100_000, 100_001, 250_000))
        outcomes, _ = self.info("/broken.tsv", ALLOW)
        self.check_whole(outcomes)
        later = [(r.get("Range"), r.get("If-Range")) for r in entry.requests[1:]]
        self.assertEqual(later, [("bytes=100000-", '"v1"'), ("bytes=100001-", '"v1"'), ("bytes=250000-", '"v1"')])

    def test_a_server_without_ranges_is_skipped_through(self):
        self.server.lists["/whole.tsv"] = server.List(tsv(), break_at=(100_000,), ranges=False)
        outcomes, _ = self.info("/whole.tsv", ALLOW)
        self.check_whole(outcomes)

    def test_without_an_etag_a_list_is_spooled(self):
        entry = self.server.lists["/plain.tsv"] = server.List(tsv(), etags=(None,))
        outcomes, _ = self.info("/plain.tsv", ALLOW)
        self.check_whole(outcomes)
        self.assertEqual(len(entry.requests), 1)
        self.server.lists["/weak.tsv"] = server.List(tsv(), etags=('W/"v1"',), break_at=(100_000,))
        self.assertIn("weak.tsv", self.info("/weak.tsv", ALLOW, code=3)[1])  # Said at once; nothing has begun.

    def test_a_list_that_changes_ends_its_job_and_keeps_outcomes(self):
        self.server.lists["/changing.tsv"] = server.List(tsv(), etags=('"v1"', '"v2"'), break_at=(200_000,))
        outcomes, message = self.info("/changing.tsv", ALLOW, code=3)
        self.assertIn("changed while it was being read", message)
        self.assertGreater(len(outcomes), 1000)
        self.assertEqual([o["id"] for o in outcomes], [f"r{i}" for i in range(len(outcomes))])

    def test_gzip_and_json(self):
        self.server.lists["/a.tsv.gz"] = server.List(gzip.compress(tsv()), break_at=(20_000,))
        self.check_whole(self.info("/a.tsv.gz", ALLOW)[0])
        array = json.dumps([{"id": f"r{i}", "url": f"nowhere:{i}", "tags": [i]} for i in range(1000)]).encode()
        self.server.lists["/a.json?token=1"] = server.List(array, break_at=(9_999,))
        self.check_whole(self.info("/a.json?token=1", ALLOW)[0], 1000)

    def test_nothing_inside_is_read(self):
        self.server.lists["/inside"] = server.List(b"", location="http://169.254.169.254/latest/meta-data/")
        self.server.lists["/file"] = server.List(b"", location="file:///etc/passwd")
        for path, flags, message in (("/a.tsv", (), "--allow-address"), ("/inside", (ALLOW,), "169.254.169.254"),
                                     ("/file", (ALLOW,), "http"), ("/none.tsv", (ALLOW,), "404"),
                                     ("http://127.0.0.1:1/secret.tsv?key=hidden", (ALLOW,), "secret.tsv")):
            outcomes, said = self.info(path, *flags, code=3)
            self.assertEqual(outcomes, [])
            self.assertIn(message, said)
            self.assertNotIn("hidden", said)


class ThroughAClusterTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = server.Server()
        cls.cluster.start_coordinator(ALLOW)
        cls.cluster.start_worker("w1")
        cls.cluster.start_gateway()

    def end_of(self, job):
        return harness.until(lambda: (lambda j: j if j["state"] in ("COMPLETED", "FAILED") else None)(
            self.cluster.get_json(f"/api/v1/jobs/{job}")), "the job's end", 60)

    def submit(self, path):
        status, _, body = self.cluster.post("/api/v1/jobs", {"filepath": self.server.url(path)})
        self.assertEqual(status, 202, body)
        return json.loads(body)["id"]

    def kill_in_the_middle(self, path, entry):
        self.server.lists[path] = entry
        job = self.submit(path)
        harness.until(lambda: self.cluster.get_json(f"/api/v1/jobs/{job}")["items"] > 1000, "some items")
        coordinator = self.cluster.processes["coordinator"]
        coordinator.kill()
        coordinator.start()
        coordinator.wait_ready()
        self.cluster.processes["gateway"].wait_ready()
        return job

    def check_all(self, job):
        ended = self.end_of(job)
        self.assertEqual((ended["state"], ended["items"]), ("COMPLETED", ROWS), ended)
        status, _, body = self.cluster.http("GET", f"/api/v1/jobs/{job}/results")
        self.assertEqual(status, 200)
        self.assertEqual([json.loads(line)["id"] for line in body.splitlines()], [f"r{i}" for i in range(ROWS)])

    def test_a_killed_coordinator_goes_on(self):
        self.check_all(self.kill_in_the_middle("/slow.tsv", server.List(tsv(), pieces=(20_000, 0.1))))

    def test_a_list_that_changed_meanwhile_fails(self):
        job = self.kill_in_the_middle("/slow2.tsv", server.List(tsv(), etags=('"v1"', '"v2"'), pieces=(20_000, 0.1)))
        ended = self.end_of(job)
        self.assertEqual(ended["state"], "FAILED")
        self.assertIn("changed while it was being read", json.dumps(ended))

    def kill_in_the_middle_of_a_scheduled_list(self, path, entry):
        self.server.lists[path] = entry
        status, headers, body = self.cluster.post("/api/v1/jobs", {"filepath": self.server.url(path),
                                                                   "schedule": {"every_seconds": 1}})
        self.assertEqual(status, 201, body)
        schedule = headers["Location"]
        job = harness.until(lambda: self.cluster.get_json(schedule)["last_job_id"], "the schedule to fire")
        self.assertEqual(self.cluster.http("DELETE", schedule)[0], 204)
        harness.until(lambda: self.cluster.get_json(f"/api/v1/jobs/{job}")["items"] > 1000, "some items")
        coordinator = self.cluster.processes["coordinator"]
        coordinator.kill()
        coordinator.start()
        coordinator.wait_ready()
        self.cluster.processes["gateway"].wait_ready()
        return job

    def test_a_killed_coordinator_goes_on_with_a_scheduled_list(self):
        for path, etags in (("/again.tsv", ('"v1"',)), ("/plain-again.tsv", (None,))):
            entry = server.List(tsv(), etags=etags, pieces=(20_000, 0.05))
            self.check_all(self.kill_in_the_middle_of_a_scheduled_list(path, entry))

    def test_a_scheduled_list_that_changed_meanwhile_fails(self):
        entry = server.List(tsv(), etags=('"v1"', '"v2"'), pieces=(20_000, 0.1))
        ended = self.end_of(self.kill_in_the_middle_of_a_scheduled_list("/again2.tsv", entry))
        self.assertEqual(ended["state"], "FAILED")
        self.assertIn("changed while it was being read", json.dumps(ended))

    def test_images_info_takes_urls(self):
        self.server.lists["/small.tsv"] = server.List(tsv(3))
        status, _, body = self.cluster.post("/api/v1/images_info", {"filepath": self.server.url("/small.tsv")})
        self.assertEqual((status, sorted(json.loads(body))), (200, ["r0", "r1", "r2"]))
        for path in ("/nothing.tsv", "http://10.0.0.1/list.tsv", "ftp://h/x"):
            url = self.server.url(path) if path.startswith("/") else path
            status, _, body = self.cluster.post("/api/v1/images_info", {"filepath": url})
            self.assertEqual((status, json.loads(body)["error"]), (422, "Invalid input file url"), body)


if __name__ == "__main__":
    unittest.main()
