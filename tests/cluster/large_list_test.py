#!/usr/bin/python3
"""A list of any length streams through: work begins before it is read, results are read from any index on, and what the
coordinator holds does not grow with the list.

That a list of ten million items stays below 300 MB is told from two sizes: what an item more takes, times ten million.
`make big` runs the ten million."""

import sys
import unittest

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402
import large  # noqa: E402

SMALL, LARGE = (200_000, 10_000_000) if large.BIG else (200_000, 3_000_000)
BOUND = 300e6
TEN_MILLION = 10_000_000
MOST_WAL = 64e6
CHECKED = 10_000_000 if large.BIG else 200_000


def peak_of(items):
    """A fresh coordinator's peak memory over upload, work and reading of one list, and what the client found."""
    with harness.Cluster() as cluster:
        coordinator = cluster.start_coordinator()
        large.start_instant_workers(cluster)
        watch = large.Watch({"wal": large.file_bytes(cluster.folder + "/imgfleet.db-wal")})
        found = large.client(cluster, "run", f"--items={items}")
        jumps = large.client(cluster, "jump", f"--job={found['job']}", f"--items={items}")
        assert jumps["outcomes"] == 20, jumps
        return large.memory(coordinator.popen.pid), watch.end()["wal"], found


class LargeListTest(unittest.TestCase):
    def test_memory_does_not_grow_with_the_list(self):
        small, _, _ = peak_of(SMALL)
        peak, wal, found = peak_of(LARGE)
        item = max(0, peak - small) / (LARGE - SMALL)
        print(f"peak {small / 1e6:.0f} MB with {SMALL:,} items, {peak / 1e6:.0f} MB with {LARGE:,}: {item:.1f} bytes an item; "
              f"WAL {wal / 1e6:.0f} MB at most; {LARGE / found['seconds']:,.0f} items/s, first outcome after "
              f"{found['first_seconds']:.3f} s, list read after {found['upload_seconds']:.2f} s")
        self.assertLess(small + item * TEN_MILLION, BOUND)
        self.assertLess(wal, MOST_WAL)
        self.assertLess(found["first_seconds"], found["upload_seconds"] / 2, "work began only when the list was read")

    def test_results_are_read_from_any_index_on(self):
        """Every outcome is that of its item, also from indices in the middle and while the list is still being read."""
        with harness.Cluster() as cluster:
            cluster.start_coordinator()
            large.start_instant_workers(cluster, "--outcomes=true")
            items = f"--items={CHECKED}"
            upload = large.Client(cluster, "upload", items)
            job = f"--job={upload.line()}"
            reading = large.Client(cluster, "read", job, "--check")
            while upload.popen.poll() is None:
                large.client(cluster, "jump", job, items, "--check", "--jumps=5")
            upload.result()
            self.assertEqual(reading.result()["next"], CHECKED)
            self.assertEqual(large.client(cluster, "jump", job, items, "--check", "--jumps=200")["outcomes"], 200)
            for start in (1, CHECKED // 3, CHECKED - 1):
                rest = large.client(cluster, "read", job, f"--from={start}", "--check")
                self.assertEqual(rest["outcomes"], CHECKED - start)


if __name__ == "__main__":
    unittest.main()
