#!/usr/bin/python3
"""Two coordinators on one PostgreSQL behind one address, as behind a Kubernetes Service: restarted in turn they lose nothing
that was acknowledged, and workers, whose connections are renewed by age, are soon with both of them again."""

import http.client
import json
import re
import sys
import threading
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway", "tests/origin"]
import balancer  # noqa: E402
import harness  # noqa: E402
import postgres  # noqa: E402
import reference_list  # noqa: E402
import ruler  # noqa: E402

WORKERS = 4
STREAM_AGE = 2  # Seconds.
LATE = 0.3  # Seconds after which the balancer acts on what /readyz said.
ORIGIN_DELAY_MS = 30
CONCURRENCY = 4  # 4 workers do less than 16 / 0.03 = 533 items/s.


class Submitter(threading.Thread):
    """Makes jobs of one URL without pause, and notes those that were acknowledged."""

    def __init__(self, port, url):
        super().__init__(daemon=True)
        self.port, self.url = port, url
        self.jobs, self.failures = [], []
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("POST", "/api/v1/images_info_async", json.dumps({"urls": [self.url]}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if answer.status == 200:
                self.jobs.append(answer.headers["Location"])
            else:
                self.failures.append(f"{answer.status} {body.decode()}")
            self.ending.wait(0.02)


class BalanceTest(harness.ClusterTest):
    def setUp(self):
        cluster = self.cluster
        self.database = postgres.Server(cluster.folder).start()
        self.addCleanup(self.database.kill)
        path = cluster.lists + "/reference.tsv"
        host = reference_list.write(path)
        self.urls = reference_list.read(path)
        cluster.start_origin("--list", path, "--delay-ms", str(ORIGIN_DELAY_MS), "--changing", "600", host=host)
        self.coordinators, backends = [], []
        for number in range(2):
            port, admin = harness.free_port(), harness.free_port()
            backends.append((port, admin))
            self.coordinators.append(cluster._start(f"coordinator-{number}", [
                harness.binary("coordinator"), f"--listen=127.0.0.1:{port}", f"--admin-listen=127.0.0.1:{admin}",
                f"--store={self.database.uri}", f"--list-root={cluster.lists}", f"--max-stream-age={STREAM_AGE}s",
                "--drain-delay=1s"], admin))
        for coordinator in self.coordinators:
            coordinator.wait_ready()
        self.front = balancer.Balancer(backends, LATE)
        self.addCleanup(self.front.close)
        harness.until(lambda: len(self.front.view) == 2, "the balancer to know both")
        cluster.grpc_port = self.front.port
        for number in range(WORKERS):
            cluster.start_worker(f"worker-{number}", f"--concurrency={CONCURRENCY}", f"--polite-exempt={host}")
        cluster.start_gateway()

    def workers_of(self, coordinator):
        return int(re.search(r"^imgfleet_coordinator_worker_streams(?:{.*})? (\d+)", coordinator.metrics(), re.MULTILINE).group(1))

    def spread(self):
        """How many workers each has, once all are somewhere and both have some."""
        def both():
            counts = [self.workers_of(coordinator) for coordinator in self.coordinators]
            return counts if min(counts) > 0 and sum(counts) == WORKERS else None
        return harness.until(both, "workers to be with both coordinators")

    def restart(self, coordinator):
        """Until all workers are with the other one, and it is ready again."""
        other = self.coordinators[1 - self.coordinators.index(coordinator)]
        self.assertEqual(coordinator.terminate(), 0)
        harness.until(lambda: self.workers_of(other) == WORKERS, "all workers to be with the other coordinator")
        coordinator.start()
        coordinator.wait_ready()
        harness.until(lambda: len(self.front.view) == 2, "the balancer to know both")

    def test_restarted_in_turn_they_lose_nothing_and_share_the_workers_again(self):
        cluster = self.cluster
        status, headers, body = cluster.post("/api/v1/images_info_async", {"filepath": "reference.tsv"})
        self.assertEqual(status, 200, body)
        listed = headers["Location"]
        submitter = Submitter(cluster.http_port, next(iter(self.urls.values())))
        submitter.start()
        began = time.monotonic()
        for coordinator in self.coordinators:
            self.restart(coordinator)
            print(f"{time.monotonic() - began:.1f} s: workers with each: {self.spread()}")
        submitter.ending.set()
        submitter.join()
        self.assertGreater(len(submitter.jobs), 20)
        for job in submitter.jobs:
            harness.until(lambda job=job: cluster.get_json(job)["state"] == "COMPLETED", f"{job} to be done")
            self.assertEqual(cluster.get_json(job)["succeeded"], 1)
        harness.until(lambda: cluster.get_json(listed)["state"] == "COMPLETED", "the list to be done", patience=120)
        state = cluster.get_json(listed)
        outcomes = [json.loads(line) for line in cluster.http("GET", listed + "/results")[2].splitlines()]
        log = cluster.origin_log()
        self.assertEqual([*ruler.of_the_end(state, self.urls), *ruler.of_the_list(outcomes, self.urls),
                          *ruler.of_the_truth(outcomes, log), *ruler.of_the_counters(state, outcomes)], [])
        print(f"{len(submitter.jobs)} jobs acknowledged, {len(submitter.failures)} requests refused: {submitter.failures[:3]}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
