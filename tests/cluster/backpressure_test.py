#!/usr/bin/python3
"""Readers that stop in the middle of a job cost nobody anything: the job goes on, since results are durable, and only the
reader waits. Memory of every process, leases, the WAL and connections to the origin stay within bounds, and each reader
goes on where it was.

Readers stop for as long as it takes to commit the rest of the job, megabytes that somebody would have to hold; `make big`
stops them for five minutes of ten million items."""

import socket
import sys
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402
import large  # noqa: E402

WARM = 200_000
ITEMS = 10_000_000 if large.BIG else 600_000
STOP_AT = 1_000_000 if large.BIG else 20_000
PAUSE_SECONDS = 300 if large.BIG else 0
STREAMS, CREDIT = 4, 4096
RATE = 7500 if large.BIG else 25_000  # Of each stream, or the job could be over before the readers stop.
# What gRPC and the kernel hold for readers that stand still, and malloc's ways.
MORE_MEMORY = 32e6
MOST_WAL = 64e6


class HttpReader:
    """Reads results through the gateway, as NDJSON, and stops after the first bytes."""

    def __init__(self, cluster, job):
        self.socket = socket.create_connection(("127.0.0.1", cluster.http_port), timeout=large.PATIENCE)
        self.socket.sendall(f"GET /api/v1/jobs/{job}/results?format=ndjson&follow=true HTTP/1.0\r\nHost: h\r\n\r\n".encode())
        self.text = self.socket.recv(4096)
        self.lines = 0

    def read_on(self):
        """To the end; the number of outcomes, whose indices must count up from 0."""
        head, _, rest = self.text.partition(b"\r\n\r\n")
        assert head.split()[1] == b"200", head
        while piece := self.socket.recv(1 << 20):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if not line.startswith(b'{"index":%d,' % self.lines):
                    raise AssertionError(f"line {self.lines} is {line[:200]!r}")
                self.lines += 1
        assert rest == b"", rest[:200]
        self.socket.close()
        return self.lines


class BackpressureTest(unittest.TestCase):
    def test_readers_that_stop_hold_back_nobody_and_go_on_where_they_were(self):
        with harness.Cluster() as cluster:
            coordinator = cluster.start_coordinator()
            gateway = cluster.start_gateway()
            workers = large.start_instant_workers(cluster, "--outcomes=true", f"--streams={STREAMS}", f"--credit={CREDIT}",
                                                  f"--rate={RATE}")
            if not large.BIG:
                large.client(cluster, "run", f"--items={WARM}", "--check")
            upload = large.Client(cluster, "upload", f"--items={ITEMS}")
            job = upload.line()
            stopped = [large.Client(cluster, command, f"--job={job}", "--check", f"--pause-at={STOP_AT}")
                       for command in ("read", "events")]
            through_gateway = HttpReader(cluster, job)
            for reader in stopped:
                reader.line()
            watched = {"coordinator": coordinator.popen.pid, "gateway": gateway.popen.pid, "workers": workers.popen.pid,
                       "reader by index": stopped[0].popen.pid, "reader of events": stopped[1].popen.pid}
            before = {name: large.memory(pid, "VmRSS") for name, pid in watched.items()}
            at_pause = cluster.get_json(f"/api/v1/jobs/{job}")
            watch = large.Watch({
                **{name: lambda pid=pid: large.memory(pid, "VmRSS") for name, pid in watched.items()},
                "WAL": large.file_bytes(cluster.folder + "/imgfleet.db-wal"),
                "leases": lambda: large.metric(coordinator, "imgfleet_coordinator_leases")})
            paused = time.monotonic()
            upload.result()
            harness.until(lambda: cluster.get_json(f"/api/v1/jobs/{job}")["state"] == "COMPLETED", "the job to go on to its end",
                          large.PATIENCE)
            time.sleep(max(0, PAUSE_SECONDS - (time.monotonic() - paused)))
            most = watch.end()
            self.assertLess(at_pause["succeeded"], ITEMS * 9 // 10, "the readers stopped too late to prove anything")
            print(f"stopped for {time.monotonic() - paused:.1f} s after {at_pause['succeeded']:,} of {ITEMS:,} outcomes; MB before and "
                  "at most:", ", ".join(f"{name} {before[name] / 1e6:.0f} {most[name] / 1e6:.0f}" for name in watched),
                  f"; WAL {most['WAL'] / 1e6:.0f} MB; leases {most['leases']:.0f}")
            for name in watched:
                self.assertLess(most[name] - before[name], MORE_MEMORY, name)
            self.assertLess(most["WAL"], MOST_WAL)
            # No shard is smaller than 16 items.
            self.assertLessEqual(most["leases"], STREAMS * CREDIT / 16)
            for reader in stopped:
                reader.go_on()
            self.assertEqual([reader.result()["outcomes"] for reader in stopped], [ITEMS, ITEMS])
            self.assertEqual(through_gateway.read_on(), ITEMS)


if __name__ == "__main__":
    unittest.main()
