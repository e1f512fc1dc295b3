#!/usr/bin/python3
"""Whole programs against the hostile origins: the table once through `imgfleet info`, and what the dear cases cost a worker
in memory. The table itself is in cases_*.cc; hostile_test runs all of it within one process, under shorter limits. Not run
here are the cases that are tried again: the command waits as long as their origins ask for, which is up to an hour."""

import collections
import json
import os
import re
import subprocess
import sys
import threading
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402

ORIGIN = "tests/hostile/origin"
ALLOW = "--allow-address=127.0.0.1/32"
# Seconds for an attempt; and for one that is sent as much as the machine can, and waits for memory while others are too.
TIMEOUT, FLOOD_TIMEOUT = 2, 6
# What an item may take beyond that, on a machine that is busy with the whole table.
GRACE = 3
# The engine's wait for the next byte and for a connection is longer than TIMEOUT: these end by it instead.
BY_TIMEOUT = {"STALLED", "CONNECT_FAILED"}
# The first goes on only when the engine has given up its wait, which here is longer than TIMEOUT. The second waits for memory
# while others hold it, and may then be cut off because it does not stop sending.
LEFT_OUT = {"stall-in-redirect", "http2-body-without-end"}
MIB = 1 << 20
# Options::byte_budget of worker/fetch/options.h for the bodies of all items; and a base for what they hold beside it:
# libcurl's and TLS's buffers, and what the allocator has not given back.
BUDGET, BASE = 256 * MIB, 64 * MIB
# Cases that would hold most if they were let, and how many of each are fetched at a time.
DEAR = ("endless-body-without-length", "endless-body-chunked", "endless-body-with-length", "encoding-gzip-bomb-of-jpeg",
        "encoding-deflate-bomb", "chunk-transfer-gzip-bomb", "head-of-small-headers", "head-line-without-end",
        "chunk-endless-trailers", "redirect-with-a-long-location", "http2-body-without-end", "http2-header-bomb")
COPIES = 20

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

    def measure(self, cases, timeout):
        """name -> outcome of each case, and of good items fetched between them."""
        rows = ["id\turl"]
        for case in cases:
            rows += [f"{case.name}\t{case.url}", f"good-{case.name}\t{self.origin.good}"]
        done = harness.run_cli(["info", "-", "--list-format=tsv", ALLOW, f"--ca-file={self.origin.ca_file}", "--quiet",
                                f"--timeout={timeout}s", "--attempts=1"], "\n".join(rows).encode())
        outcomes = (json.loads(line) for line in done.stdout.splitlines())
        return {outcome["id"]: outcome for outcome in outcomes}

    def check(self, case, outcome, timeout):
        self.assertLessEqual(outcome.get("timings_us", {}).get("total", 0) / 1e6, timeout + GRACE, outcome)
        if case.reason == "REASON_UNSPECIFIED":
            self.assertEqual((outcome.get("width"), outcome.get("height"), outcome.get("size_bytes")),
                             (40, 30, int(case.size)), outcome)
            return
        wanted = {case.reason, case.reason_or}
        if wanted & BY_TIMEOUT:
            wanted.add("TIMEOUT")
        self.assertIn(outcome.get("error", {}).get("reason"), wanted, outcome)
        if outcome["error"]["reason"] == case.reason != "TIMEOUT":  # Which tells the time given.
            self.assertIn(case.says, outcome["error"]["message"])

    def test_the_table_through_the_command(self):
        cases = [case for case in self.origin.cases.values()
                 if int(case.attempts) == 1 and case.name not in LEFT_OUT]
        self.assertGreater(len(cases), 250)
        for floods, timeout in ((False, TIMEOUT), (True, FLOOD_TIMEOUT)):
            group = [case for case in cases if floods == (case.floods == "1" or case.reason == "BODY_TOO_LARGE")]
            outcomes = self.measure(group, timeout)
            self.assertEqual(len(outcomes), 2 * len(group))
            for case in group:
                with self.subTest(case=case.name):
                    self.check(case, outcomes[case.name], timeout)
                    good = outcomes[f"good-{case.name}"]
                    self.assertEqual((good.get("width"), good.get("height")), (123, 45), good)
        self.assertEqual(self.origin.came_where_forbidden(), 0)

    # --- memory

    def status(self, worker, field):
        """Bytes of a field of /proc/PID/status."""
        with open(f"/proc/{worker.popen.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{field}:\s*(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024

    def grown_by(self, names, copies, limits):
        """Bytes by which a fresh worker's memory has grown at most over a job of so many copies of the cases, all in
        flight at once as far as it lets them, and the reasons they ended with."""
        with harness.Cluster() as cluster:
            cluster.worker_flags = [ALLOW, f"--ca-file={self.origin.ca_file}"]
            cluster.start_coordinator()
            worker = cluster.start_worker("worker")
            cluster.start_gateway()
            with open(f"/proc/{worker.popen.pid}/maps", encoding="utf-8") as maps:
                if re.search("lib[at]san", maps.read()):
                    self.skipTest("a sanitizer's memory says nothing about the program's")
            # What the first items of all cost: TLS, thread stacks, tables.
            self.job(cluster, [self.origin.good, self.origin.cases["picture-tls"].url] * 8, limits)
            before = self.status(worker, "VmRSS")
            urls = [f"{self.origin.cases[name].url}?{i}" for i in range(copies) for name in names]
            reasons = self.job(cluster, urls, limits)
            return self.status(worker, "VmHWM") - before, reasons

    def job(self, cluster, urls, limits):
        status, _, body = cluster.post("/api/v1/jobs", {"urls": urls, "limits": limits})
        self.assertEqual(status, 202, body)
        path = f"/api/v1/jobs/{json.loads(body)['id']}"
        harness.until(lambda: cluster.get_json(path)["state"] == "COMPLETED", "the job to end", 60)
        status, _, body = cluster.http("GET", path + "/results")
        self.assertEqual(status, 200, body)
        outcomes = [json.loads(line) for line in body.splitlines()]
        self.assertEqual(len(outcomes), len(urls))
        return collections.Counter(o["error"]["reason"] if o["status"] == "error" else "ok" for o in outcomes)

    def test_an_item_stays_under_twice_the_body_limit(self):
        grown, reasons = self.grown_by(DEAR, COPIES, {"attempt_timeout_ms": 20000, "max_attempts": 1,
                                                      "max_body_bytes": MIB})
        items = len(DEAR) * COPIES
        bound = min(items * 2 * MIB, BUDGET + BASE)
        print(f"{items} hostile items of at most 1 MiB: {grown / MIB:.1f} MiB, bound {bound / MIB:.0f}; {dict(reasons)}")
        self.assertEqual(set(reasons), {"BODY_TOO_LARGE", "PROTOCOL_ERROR"})
        self.assertLess(grown, bound)

    def test_all_items_together_stay_within_the_budget(self):
        items = 24
        grown, reasons = self.grown_by(("endless-body-without-length",), items,
                                       {"attempt_timeout_ms": 20000, "max_attempts": 1, "max_body_bytes": 64 * MIB})
        bound = BUDGET + BASE
        print(f"{items} hostile items of at most 64 MiB: {grown / MIB:.1f} MiB, bound {bound / MIB:.0f}; {dict(reasons)}")
        self.assertEqual(set(reasons), {"BODY_TOO_LARGE"})
        self.assertLess(bound, items * 64 * MIB)  # Else it would prove nothing.
        self.assertLess(grown, bound)


if __name__ == "__main__":
    unittest.main()
