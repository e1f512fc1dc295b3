#!/usr/bin/python3
"""A durable job of 5,005 items ends with exactly one true outcome each, although one worker is killed by SIGKILL every
second and the coordinator once.

The origin gives another image at every fetch of some URLs, so an outcome made of two fetches, or replaced by a second
one, differs from every answer it gave."""

import json
import subprocess
import sys
import threading
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402
import reference_list  # noqa: E402

KILLS = 10
# Slow enough for that many kills: two workers with 8 fetches in flight each do less than 16 / 0.03 = 533 items/s.
ORIGIN_DELAY_MS = 30
CONCURRENCY = 8


class Watcher(threading.Thread):
    """Reads the job's outcomes as they are committed, all the while, across the coordinator's restart."""

    def __init__(self, coordinator, job):
        super().__init__(daemon=True)
        self.coordinator, self.job = coordinator, job
        self.seen = {}  # index -> outcome
        self.after = 0
        self.problems = []
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            self.read_once()
            self.stop.wait(0.2)

    def read_once(self):
        """Everything committed after `after` and until now."""
        request = json.dumps({"job_id": self.job, "after_commit_seq": str(self.after)})
        done = subprocess.run(
            [harness.tool("grpcurl"), "-plaintext", "-max-time", "20", "-emit-defaults", "-d", request, self.coordinator,
             "imgfleet.v1.Jobs/ReadEvents"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        decoder, text, at = json.JSONDecoder(), done.stdout.decode(), 0
        while True:
            while at < len(text) and text[at].isspace():
                at += 1
            if at == len(text):
                return
            try:
                step, at = decoder.raw_decode(text, at)
            except ValueError:
                return  # Cut off by the kill: what is missing comes with the next reading.
            self.take(step)

    def take(self, step):
        for outcome in step["outcomes"]:
            index = int(outcome["index"])
            if index in self.seen:
                self.problems.append(f"item {index} came twice")
            self.seen[index] = outcome
        self.after = int(step["commit_seq"])


class CrashTest(harness.ClusterTest):
    def test_every_item_has_exactly_one_true_outcome(self):
        cluster = self.cluster
        path = cluster.lists + "/reference.tsv"
        host = reference_list.write(path)
        urls = reference_list.read(path)
        cluster.start_origin("--list", path, "--delay-ms", str(ORIGIN_DELAY_MS), "--changing", "600", host=host)
        coordinator = cluster.start_coordinator("--lease-period=5s")
        concurrency = f"--concurrency={CONCURRENCY}"
        cluster.start_worker("worker-1", concurrency)
        victim = cluster.start_worker("worker-2", concurrency)
        cluster.start_gateway()

        status, headers, body = cluster.post("/api/v1/images_info_async", {"filepath": "reference.tsv"})
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["ok"], "Processing Images")
        job_path = headers["Location"]
        job = job_path.rpartition("/")[2]
        watcher = Watcher(cluster.coordinator_address(), job)
        watcher.start()

        kills = self.kill_until_done(job_path, victim, coordinator)
        self.assertGreaterEqual(kills, KILLS, "the job was over too soon to prove anything")
        watcher.stop.set()
        watcher.join()
        watcher.read_once()

        job_json = cluster.get_json(job_path)
        self.assertEqual((job_json["state"], job_json["items"]), ("COMPLETED", reference_list.ROWS))
        status, _, body = cluster.http("GET", job_path + "/results")
        self.assertEqual(status, 200)
        outcomes = [json.loads(line) for line in body.splitlines()]
        self.assertEqual([outcome["index"] for outcome in outcomes], list(range(reference_list.ROWS)))
        self.assertEqual({outcome["id"]: outcome["url"] for outcome in outcomes}, urls)
        log = cluster.origin_log()
        for outcome in outcomes:
            self.assertIsNone(reference_list.difference(outcome, log[reference_list.path_of(outcome["url"])]), outcome)
        self.check_counters(job_json, outcomes)
        self.check_seen(watcher, outcomes)
        refetched = sum(len({row["etag"] for row in answers if row["kind"] == "image"}) > 1 for answers in log.values())
        self.assertGreater(refetched, 0, "no changing item was fetched twice: a double could not have shown")
        print(f"{kills} kills of a worker, 1 of the coordinator; {refetched} changing items were fetched more than once")

    def kill_until_done(self, job_path, victim, coordinator):
        kills, coordinator_killed = 0, False
        start = time.monotonic()
        while True:
            deadline = start + kills + 1
            while time.monotonic() < deadline:
                job = self.job_or_none(job_path)
                if job and job["state"] not in ("READING", "RUNNING"):
                    return kills
                time.sleep(0.05)
            victim.kill()
            victim.start()
            kills += 1
            if not coordinator_killed and kills == KILLS // 2:
                coordinator.kill()
                coordinator.start()
                coordinator_killed = True
            self.assertLess(kills, 90, f"the job does not end: {self.job_or_none(job_path)}")

    def job_or_none(self, job_path):
        """None while the coordinator is away."""
        status, _, body = self.cluster.http("GET", job_path)
        return json.loads(body) if status == 200 else None

    def check_counters(self, job, outcomes):
        failures = [outcome for outcome in outcomes if outcome["status"] == "error"]
        self.assertEqual((job["succeeded"], job["failed"]), (len(outcomes) - len(failures), len(failures)))
        reasons = {}
        for outcome in failures:
            reasons[outcome["error"]["reason"]] = reasons.get(outcome["error"]["reason"], 0) + 1
        self.assertEqual(job["reasons"], reasons)
        self.assertEqual(job["fetched_bytes"], sum(outcome.get("fetched_bytes", 0) for outcome in outcomes))

    def check_seen(self, watcher, outcomes):
        self.assertEqual(watcher.problems, [])
        self.assertEqual(len(watcher.seen), len(outcomes))
        for outcome in outcomes:
            seen = watcher.seen[outcome["index"]]
            if outcome["status"] == "ok":
                self.assertEqual((seen["image"]["width"], seen["image"]["height"], seen["image"]["size_bytes"],
                                  seen["fetch"]["etag"], seen["fetch"]["total_us"]),
                                 (outcome["width"], outcome["height"], str(outcome["size_bytes"]), outcome["etag"],
                                  outcome["timings_us"]["total"]))
            else:
                self.assertEqual((seen["error"]["reason"], seen["error"]["message"]),
                                 (outcome["error"]["reason"], outcome["error"]["message"]))


if __name__ == "__main__":
    unittest.main()
