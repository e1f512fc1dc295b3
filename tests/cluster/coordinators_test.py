#!/usr/bin/python3
"""Three coordinators on one PostgreSQL, each killed by SIGKILL in turn while workers and a gateway dial any of them: a
job of 5,005 items ends with exactly one true outcome each, and no coordinator is needed for it."""

import json
import sys
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import crash_test  # noqa: E402
import harness  # noqa: E402
import postgres  # noqa: E402
import reference_list  # noqa: E402

COORDINATORS = 3
KILLS = 6
ORIGIN_DELAY_MS = 30
# Two workers with 6 fetches in flight each do less than 12 / 0.03 = 400 items/s.
CONCURRENCY = 6


class CoordinatorsTest(harness.ClusterTest):
    def setUp(self):
        cluster = self.cluster
        self.database = postgres.Server(cluster.folder).start()
        self.addCleanup(self.database.kill)
        path = cluster.lists + "/reference.tsv"
        host = reference_list.write(path)
        self.urls = reference_list.read(path)
        cluster.start_origin("--list", path, "--delay-ms", str(ORIGIN_DELAY_MS), "--changing", "600", host=host)
        self.coordinators, addresses = [], []
        for number in range(COORDINATORS):
            port, admin = harness.free_port(), harness.free_port()
            addresses.append(f"--coordinator=127.0.0.1:{port}")
            self.coordinators.append(cluster._start(f"coordinator-{number}", [
                harness.binary("coordinator"), f"--listen=127.0.0.1:{port}", f"--admin-listen=127.0.0.1:{admin}",
                f"--store={self.database.uri}", f"--list-root={cluster.lists}", "--lease-period=5s"], admin))
        for coordinator in self.coordinators:
            coordinator.wait_ready()
        for number in range(2):
            admin = harness.free_port()
            cluster._start(f"worker-{number}", [
                harness.binary("worker"), *addresses, f"--name=worker-{number}", f"--admin-listen=127.0.0.1:{admin}",
                f"--concurrency={CONCURRENCY}", *cluster.worker_flags], admin).wait_ready()
        cluster.http_port, admin = harness.free_port(), harness.free_port()
        cluster._start("gateway", [
            harness.binary("gateway"), *addresses, f"--listen=127.0.0.1:{cluster.http_port}",
            f"--list-root={cluster.lists}", f"--admin-listen=127.0.0.1:{admin}"], admin).wait_ready()

    def test_any_may_die_at_any_time(self):
        cluster = self.cluster
        status, headers, body = cluster.post("/api/v1/images_info_async", {"filepath": "reference.tsv"})
        self.assertEqual(status, 200, body)
        job_path = headers["Location"]
        kills = self.kill_in_turn_until_done(job_path)
        self.assertGreaterEqual(kills, KILLS, "the job was over too soon to prove anything")
        job = cluster.get_json(job_path)
        self.assertEqual((job["state"], job["items"]), ("COMPLETED", reference_list.ROWS))
        status, _, body = cluster.http("GET", job_path + "/results")
        self.assertEqual(status, 200)
        outcomes = [json.loads(line) for line in body.splitlines()]
        self.assertEqual([outcome["index"] for outcome in outcomes], list(range(reference_list.ROWS)))
        self.assertEqual({outcome["id"]: outcome["url"] for outcome in outcomes}, self.urls)
        log = cluster.origin_log()
        for outcome in outcomes:
            self.assertIsNone(reference_list.difference(outcome, log[reference_list.path_of(outcome["url"])]), outcome)
        crash_test.CrashTest.check_counters(self, job, outcomes)
        self.assertEqual(self.database.query(
            "SELECT sum(deadlocks) FROM pg_stat_database UNION ALL SELECT count(*) FROM shards WHERE state <> 4"), ["0", "0"])
        print(f"{kills} kills of {COORDINATORS} coordinators")

    def kill_in_turn_until_done(self, job_path):
        kills, start = 0, time.monotonic()
        while True:
            deadline = start + 1.5 * (kills + 1)
            while time.monotonic() < deadline:
                status, _, body = self.cluster.http("GET", job_path)
                if status == 200 and json.loads(body)["state"] not in ("READING", "RUNNING"):
                    return kills
                time.sleep(0.05)
            victim = self.coordinators[kills % COORDINATORS]
            victim.kill()
            victim.start()
            kills += 1
            self.assertLess(kills, 160, "the job does not end")


if __name__ == "__main__":
    unittest.main()
