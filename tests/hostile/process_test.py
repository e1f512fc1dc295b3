#!/usr/bin/python3
"""Whole programs against the hostile origins: the table through `imgfleet info`, and what its cases cost a worker in memory.
The table itself is in cases_*.cc; hostile_test runs it within one process, under shorter limits."""

import collections
import contextlib
import json
import os
import re
import subprocess
import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402

ORIGIN = "tests/hostile/origin"
ALLOW = "--allow-address=127.0.0.1/32"
# Seconds for an attempt of those that end by it, and of those that come to an end by themselves, however busy the machine is.
BRIEF, AMPLE = 2, 40
# What an item may take beyond that.
GRACE = 1
# The engine's wait for the next byte and for a TLS handshake are longer than BRIEF: these end by it instead.
BY_TIMEOUT = {"STALLED", "CONNECT_FAILED"}
# Asks for an hour, which the worker leaves to the coordinator: it is looked at by itself.
PUT_OFF = "retry-503-of-an-hour"
MIB = 1 << 20
# Options::byte_budget of worker/fetch/options.h for the bodies of all items; and a base for what they hold beside it:
# libcurl's and TLS's buffers, and what the allocator has not given back.
BUDGET, BASE = 256 * MIB, 64 * MIB
# Those that send without end, or more than they say.
ENDLESS = ("endless-body-without-length", "endless-body-chunked", "endless-body-with-length", "encoding-gzip-bomb-of-jpeg")

Case = collections.namedtuple("Case", "name url reason reason_or says size timeout attempts floods")


class Origin:
    def __init__(self):
        program = next(path for path in (ORIGIN, "bazel-bin/" + ORIGIN) if os.path.exists(path))
        self.popen = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      preexec_fn=harness.end_with_parent)
        self.ca_file, self.good, self.forbidden = self.popen.stdout.readline().rstrip("\n").split("\t")
        self.cases = {}
        for line in iter(self.popen.stdout.readline, "\n"):
            case = Case(*line.rstrip("\n").split("\t"))
            self.cases[case.name] = case

    def came_where_forbidden(self):
        self.popen.stdin.write("forbidden\n")
        self.popen.stdin.flush()
        return int(self.popen.stdout.readline())

    def close(self):
        self.popen.stdin.close()
        self.popen.wait(harness.PATIENCE)
        self.popen.stdout.close()


class ProcessTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.close)

    # --- the table

    def measure(self, cases, timeout, attempts):
        """name -> outcome of each case, and of good items fetched between them."""
        rows = ["id\turl"]
        for case in cases:
            rows += [f"{case.name}\t{case.url}", f"good-{case.name}\t{self.origin.good}"]
        done = harness.run_cli(["info", "-", "--list-format=tsv", ALLOW, f"--ca-file={self.origin.ca_file}", "--quiet",
                                f"--timeout={timeout}s", f"--attempts={attempts}"], "\n".join(rows).encode(), patience=4 * AMPLE)
        outcomes = (json.loads(line) for line in done.stdout.splitlines())
        return {outcome["id"]: outcome for outcome in outcomes}

    def check(self, case, outcome, timeout, attempts):
        # What it waits for an origin that asks to be left alone is not its attempts', and bounded by all they may take.
        waits = 2 * attempts * timeout if attempts > 1 else 0
        took = outcome.get("timings_us", {}).get("total", 0) / 1e6
        self.assertLessEqual(took, attempts * timeout + waits + GRACE, outcome)
        if case.reason == "REASON_UNSPECIFIED":
            self.assertEqual((outcome.get("width"), outcome.get("height"), outcome.get("size_bytes")),
                             (40, 30, int(case.size)), outcome)
            return
        reason = outcome.get("error", {}).get("reason")
        if timeout == BRIEF and case.reason in BY_TIMEOUT and reason == "TIMEOUT":
            return
        self.assertIn(reason, {case.reason, case.reason_or} - {"REASON_UNSPECIFIED"}, outcome)
        if reason == case.reason != "TIMEOUT":  # Which tells the time given.
            self.assertIn(case.says, outcome["error"]["message"])

    def check_table(self, wanted, timeout, attempts, at_least):
        cases = [case for case in self.origin.cases.values() if wanted(case)]
        self.assertGreaterEqual(len(cases), at_least)
        outcomes = self.measure(cases, timeout, attempts)
        self.assertEqual(len(outcomes), 2 * len(cases))
        for case in cases:
            with self.subTest(case=case.name):
                self.check(case, outcomes[case.name], timeout, attempts)
                good = outcomes[f"good-{case.name}"]
                self.assertEqual((good.get("width"), good.get("height")), (123, 45), good)
        self.assertEqual(self.origin.came_where_forbidden(), 0)

    @staticmethod
    def retried(case):
        return int(case.attempts) > 1

    @staticmethod
    def late(case):
        return case.reason == "TIMEOUT" or case.reason in BY_TIMEOUT

    @staticmethod
    def flooding(case):
        return case.floods == "1" or case.reason == "BODY_TOO_LARGE"

    def test_cases_that_end_by_themselves(self):
        self.check_table(lambda case: not (self.retried(case) or self.late(case) or self.flooding(case)), AMPLE, 1, 200)

    def test_cases_that_end_by_their_deadline(self):
        self.check_table(lambda case: self.late(case) and not self.retried(case), BRIEF, 1, 20)

    def test_cases_that_flood(self):
        self.check_table(lambda case: self.flooding(case) and not self.retried(case) and not self.late(case), AMPLE, 1, 15)

    def test_cases_that_are_tried_again(self):
        self.check_table(lambda case: self.retried(case) and case.name != PUT_OFF, BRIEF, 2, 20)

    # --- memory

    def status(self, worker, field):
        """Bytes of a field of /proc/PID/status."""
        with open(f"/proc/{worker.popen.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{field}:\s*(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024

    @contextlib.contextmanager
    def worker(self, *flags):
        """A cluster, its only worker, and what that has resident once it has had what the first items of all cost."""
        with harness.Cluster() as cluster:
            cluster.worker_flags = [ALLOW, f"--ca-file={self.origin.ca_file}", *flags]
            cluster.start_coordinator()
            worker = cluster.start_worker("worker")
            cluster.start_gateway()
            with open(f"/proc/{worker.popen.pid}/maps", encoding="utf-8") as maps:
                if re.search("lib[at]san", maps.read()):
                    self.skipTest("a sanitizer's memory says nothing about the program's")
            self.job(cluster, [self.origin.good, self.origin.cases["picture-tls"].url] * 8, {})
            yield cluster, worker, self.status(worker, "VmRSS")

    def job(self, cluster, urls, limits):
        status, _, body = cluster.post("/api/v1/jobs", {"urls": urls, "limits": limits})
        self.assertEqual(status, 202, body)
        path = f"/api/v1/jobs/{json.loads(body)['id']}"
        harness.until(lambda: cluster.get_json(path)["state"] == "COMPLETED", "the job to end", 4 * AMPLE)
        status, _, body = cluster.http("GET", path + "/results")
        self.assertEqual(status, 200, body)
        outcomes = [json.loads(line) for line in body.splitlines()]
        self.assertEqual(len(outcomes), len(urls))
        return collections.Counter(o["error"]["reason"] if o["status"] == "error" else "ok" for o in outcomes)

    def test_an_item_stays_under_twice_the_body_limit(self):
        # One at a time, so that the peak is that of a single item, and all those before it have left nothing.
        names = [case.name for case in self.origin.cases.values() if not self.retried(case) and not self.late(case)]
        limit = 16 * MIB
        with self.worker("--threads=1", "--concurrency=1") as (cluster, worker, before):
            self.job(cluster, [self.origin.cases[name].url for name in names],
                     {"attempt_timeout_ms": AMPLE * 1000, "max_attempts": 1, "max_body_bytes": limit})
            grown = self.status(worker, "VmHWM") - before
        print(f"{len(names)} hostile items, one at a time: {grown / MIB:.1f} MiB, bound {2 * limit / MIB:.0f}")
        self.assertGreater(grown, limit // 2)  # Else none of them was held.
        self.assertLess(grown, 2 * limit)

    def test_all_items_together_stay_within_the_budget(self):
        limit, copies = 64 * MIB, 6
        urls = [f"{self.origin.cases[name].url}?{i}" for i in range(copies) for name in ENDLESS]
        with self.worker() as (cluster, worker, before):
            reasons = self.job(cluster, urls, {"attempt_timeout_ms": AMPLE * 1000, "max_attempts": 1, "max_body_bytes": limit})
            grown = self.status(worker, "VmHWM") - before
        bound = BUDGET + BASE
        print(f"{len(urls)} hostile items of at most 64 MiB: {grown / MIB:.1f} MiB, bound {bound / MIB:.0f}; {dict(reasons)}")
        self.assertEqual(set(reasons), {"BODY_TOO_LARGE"})
        self.assertLess(bound, len(urls) * limit)  # Else it would prove nothing.
        self.assertLess(grown, bound)

    # --- what is put off

    def test_who_asks_for_an_hour_is_left_alone(self):
        with self.worker() as (cluster, _, _):
            case = self.origin.cases[PUT_OFF]
            status, _, body = cluster.post("/api/v1/jobs", {"urls": [case.url, self.origin.good]})
            self.assertEqual(status, 202, body)
            path = f"/api/v1/jobs/{json.loads(body)['id']}"
            harness.until(lambda: cluster.get_json(path)["succeeded"] == 1, "the good item to end")
            status, _, body = cluster.post(path + ":cancel", {})
            self.assertEqual(status, 200, body)
            harness.until(lambda: cluster.get_json(path)["state"] == "CANCELLED", "the job to end")
            _, _, body = cluster.http("GET", path + "/results")
            outcomes = [json.loads(line) for line in body.splitlines()]
            self.assertEqual([outcome.get("error", {}).get("reason", "ok") for outcome in outcomes], ["CANCELLED", "ok"])


class Shard(unittest.TestLoader):
    """Every nth test, where Bazel asks for it: most of the time is spent waiting for deadlines."""

    def getTestCaseNames(self, case):
        names = super().getTestCaseNames(case)
        if "TEST_TOTAL_SHARDS" not in os.environ:
            return names
        with open(os.environ["TEST_SHARD_STATUS_FILE"], "w", encoding="ascii"):
            pass  # That it is there says that sharding is understood.
        return names[int(os.environ["TEST_SHARD_INDEX"])::int(os.environ["TEST_TOTAL_SHARDS"])]


if __name__ == "__main__":
    unittest.main(testLoader=Shard())
