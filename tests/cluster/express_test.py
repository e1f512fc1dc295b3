#!/usr/bin/python3
"""Requests that are answered while the client waits, when a worker or the coordinator is killed in the middle: each item has
exactly one outcome with the client."""

import json
import sys
import threading
import unittest
import urllib.parse

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import harness  # noqa: E402
import sockets  # noqa: E402

NDJSON = {"Accept": "application/x-ndjson", "Content-Type": "application/json"}


class ExpressTest(harness.ClusterTest):
    def setUp(self):
        self.cluster = harness.Cluster()
        self.addCleanup(self.end)
        self.origin = sockets.HeldOrigin()
        self.addCleanup(self.origin.close)

    def end(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            self.cluster.show_logs()
        self.cluster.__exit__(None, None, None)

    def ask(self, paths):
        """Asks for images_info in the background: a function that waits for (status, lines)."""
        urls = [self.origin.url + path for path in paths]
        said = []

        def run():
            said.append(self.cluster.http("POST", "/api/v1/images_info", json.dumps({"urls": urls}), NDJSON))
        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def wait():
            thread.join(90)
            self.assertTrue(said, "no answer")
            status, _, body = said[0]
            return status, [json.loads(line) for line in body.splitlines()]
        return wait

    def expect_each_once(self, outcomes, count):
        self.assertEqual(sorted(outcome["index"] for outcome in outcomes), list(range(count)))
        self.assertEqual({outcome["status"] for outcome in outcomes}, {"ok"})

    def jobs(self):
        return self.cluster.get_json("/api/v1/jobs")["jobs"]

    def test_nothing_is_left_of_it(self):
        self.cluster.start_coordinator()
        self.cluster.start_worker("worker-1")
        self.cluster.start_gateway()
        status, outcomes = self.ask(["/quick.png"] * 5)()
        self.assertEqual(status, 200)
        self.expect_each_once(outcomes, 5)
        self.assertEqual(self.jobs(), [])

    def test_a_worker_killed_in_the_middle(self):
        self.cluster.start_coordinator()
        victim = self.cluster.start_worker("worker-1")
        self.cluster.start_gateway()
        answer = self.ask(["/quick.png", "/held", "/quick.png"])
        self.assertTrue(self.origin.held.wait(30))
        victim.kill()
        self.cluster.start_worker("worker-2")
        self.origin.release.set()
        status, outcomes = answer()
        self.assertEqual(status, 200)
        self.expect_each_once(outcomes, 3)

    def test_a_coordinator_killed_in_the_middle(self):
        coordinator = self.cluster.start_coordinator()
        self.cluster.start_worker("worker-1")
        self.cluster.start_gateway()
        answer = self.ask(["/quick.png", "/held", "/quick.png"])
        self.assertTrue(self.origin.held.wait(30))
        coordinator.kill()
        coordinator.start()
        coordinator.wait_ready()
        self.origin.release.set()
        status, outcomes = answer()
        self.assertEqual(status, 200, outcomes)
        self.expect_each_once(outcomes, 3)

    def path_of(self, image):
        return "/api/v1/image?url=" + urllib.parse.quote(self.origin.url + image, safe="")

    def test_without_a_worker_one_image_is_a_job_that_waits_for_one(self):
        self.cluster.start_coordinator()
        self.cluster.start_gateway()
        said = []
        thread = threading.Thread(target=lambda: said.append(self.cluster.http("GET", self.path_of("/quick.png"))), daemon=True)
        thread.start()
        (job,) = harness.until(self.jobs, "the job")
        self.cluster.start_worker("worker-1")
        thread.join(60)
        status, _, body = said[0]
        self.assertEqual((status, json.loads(body)["width"]), (200, 30))
        self.assertEqual(self.cluster.get_json(f"/api/v1/jobs/{job['id']}")["state"], "COMPLETED")

    def test_a_client_that_leaves_leaves_no_job_behind(self):
        self.cluster.start_coordinator()
        self.cluster.start_gateway()
        with sockets.Raw(self.cluster.http_port) as raw:
            raw.request("GET", self.path_of("/quick.png"))
            harness.until(self.jobs, "the job")
        harness.until(lambda: self.jobs()[0]["state"] == "CANCELLED", "the job to be cancelled")


if __name__ == "__main__":
    unittest.main()
