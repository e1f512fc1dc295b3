#!/usr/bin/python3
"""Three workers at one origin, each with a coordinator of its own, on one PostgreSQL: together they keep to what one would, and
what the origin tells one of them all keep to, also while coordinators die. Who asked is told by the User-Agent."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import unittest

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402
import origins_test  # noqa: E402
import polite_test  # noqa: E402
import postgres  # noqa: E402


@contextlib.contextmanager
def cluster_apart(*coordinator_flags):
    """A cluster of as many coordinators as workers, and the server they share."""
    folder = tempfile.mkdtemp(prefix="imgfleet-homes.", dir="/tmp")
    database = postgres.Server(folder).start()
    try:
        with harness.Cluster() as cluster:
            for name in origins_test.WORKERS:
                port, admin = harness.free_port(), harness.free_port()
                cluster._start(f"coordinator-{name}", [
                    harness.binary("coordinator"), f"--listen=127.0.0.1:{port}", f"--admin-listen=127.0.0.1:{admin}",
                    f"--store={database.uri}", "--lease-period=5s", *coordinator_flags], admin).wait_ready()
                cluster.grpc_port = port
                cluster.start_worker(name, f"--user-agent={name}", "--threads=1")
            yield cluster, database
    finally:
        database.kill()
        shutil.rmtree(folder, ignore_errors=True)


def measure(cluster, urls):
    """The outcomes, and the seconds they took."""
    begin = time.monotonic()
    done = harness.run_cli(["info", "-", "--quiet", f"--server={cluster.coordinator_address()}"],
                           "".join(url + "\n" for url in urls).encode(), patience=200)
    seconds = time.monotonic() - begin
    return [json.loads(line) for line in done.stdout.splitlines()], seconds


class OriginHomesTest(unittest.TestCase):
    def test_three_coordinators_seldom_exceed_what_an_origin_allows(self):
        rate, items = 20, 600
        limited, willing = origins_test.Origin(polite_test.bucket(rate, 20)), origins_test.Origin(lambda _: None)
        urls = [limited.url(i) if i % 12 == 0 else willing.url(i) for i in range(12 * items)]
        with cluster_apart() as (cluster, database):
            outcomes, seconds = measure(cluster, urls)
            print(database.query("SELECT count(*), max(number) FROM origin_board"))
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * len(urls))
        refused = sum(refused for _, _, refused in limited.requests)
        print(f"{refused} of {len(limited.requests)} refused, {seconds:.1f} s, by {limited.askers()}")
        self.assertEqual(set(limited.askers()), set(origins_test.WORKERS))
        self.assertLess(refused, 0.06 * len(limited.requests))
        self.assertGreater(items / seconds, 0.5 * rate)

    def test_what_one_is_told_all_keep_to(self):
        told, wait, origin = [], 6, None

        def refuses(now):
            if told or len(origin.requests) < 4000 or len(origin.askers()) < len(origins_test.WORKERS):
                return None
            told.append(now)
            return {"Retry-After": str(wait)}

        origin = origins_test.Origin(refuses)
        urls = [origin.url(i) for i in range(12_000)]
        with cluster_apart() as (cluster, _):
            outcomes, _ = measure(cluster, urls)
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * len(urls))
        self.assertEqual(len(told), 1)
        since = [now - told[0] for now, _, _ in origin.requests if 0 < now - told[0]]
        # What was under way, and an exchange.
        self.assertEqual([s for s in since if 2 < s < wait - 0.1], [])

    def test_an_operators_limit_holds_for_all_together_whichever_dies(self):
        origin = origins_test.Origin(lambda _: None)
        urls = [origin.url(i) for i in range(600)]
        with cluster_apart("--origin-limit=127.0.0.1=2,50/s") as (cluster, _):
            # The list is told through the last one.
            victim = cluster.processes["coordinator-one"]
            threading.Timer(4, victim.kill).start()
            outcomes, seconds = measure(cluster, urls)
        self.assertEqual([outcome["status"] for outcome in outcomes], ["ok"] * len(urls))
        self.assertGreater(seconds, 0.95 * len(urls) / 50)
        times = [now for now, _, _ in origin.requests]
        most = max(sum(1 for other in times if now <= other < now + 1) for now in times)
        print(f"{most} in a second, {seconds:.1f} s, by {origin.askers()}")
        self.assertLessEqual(most, 62)


if __name__ == "__main__":
    os.umask(0o022)
    unittest.main()
