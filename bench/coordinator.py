"""What the coordinator itself costs: a real imgfleet-coordinator, lists streamed to it, workers that answer at once, and
results read while they come. Part of bench/run.py; `make bench BENCH=--coordinator` runs it alone.

A client (bench/list_client.cc) uploads a list row by row through UploadJob and reads its results packed, by index, through
ReadResults at the same time; bench/instant_worker.cc plays the workers. So submit, lease, commit and reading overlap as in
life, and the seconds run from the list's first byte to the last outcome read. CPU and memory are those of the coordinator
process alone; with PostgreSQL, its server's CPU stands beside them.
"""

import contextlib
import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

import marks
from clients import Trouble
from origin import free_ports, wait_for

SIZES = (10_000, 100_000, 1_000_000)
LARGEST = 10_000_000
ROUND_ITEMS = 500_000  # A round has so many items at least: small lists are run again and again.
STREAMS, CREDIT = 4, 8192
MARKS = {"sqlite": 400_000, "postgres": 250_000}  # Items a second, at a million items.
FLAT = 1.5  # CPU an item of the largest list, over that of 100,000 items, at most.
MEMORY_MB = 300
SOURCE = pathlib.Path(__file__).resolve().parent.parent


@dataclass
class Run:
    store: str
    items: int
    seconds: float
    cpu_seconds: float  # Of the coordinator.
    server_seconds: float  # Of the PostgreSQL server; 0 where there is none.
    peak_bytes: int  # Of the coordinator, since it was started for this size.
    result_bytes: int


def threads_of(pid):
    return glob.glob(f"/proc/{pid}/task/*/schedstat")


def cpu_seconds(pid):
    """Of all threads that live; the coordinator keeps its own."""
    total = 0
    for path in threads_of(pid):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def family_seconds(pid):
    """Of a process and its children, also of those that have ended."""
    tick = os.sysconf("SC_CLK_TCK")
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        with contextlib.suppress(OSError):
            with open(f"/proc/{one}/stat", encoding="utf-8") as file:
                total += sum(int(word) for word in file.read().rpartition(")")[2].split()[11:15])
            with open(f"/proc/{one}/task/{one}/children", encoding="ascii") as file:
                todo += [int(word) for word in file.read().split()]
    return total / tick


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


class Sqlite:
    name = "sqlite"
    pid = None

    def __init__(self, folder):
        self.flag = f"--store=sqlite:{folder}/imgfleet.db"

    def close(self):
        pass


class Postgres:
    """A server of its own, with its defaults (every commit synced), reached by a socket in the folder."""
    name = "postgres"

    def __init__(self, folder):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            raise Trouble("PostgreSQL is not installed (tools/debian-packages.txt)")
        self.folder = folder
        user = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
        as_user = {"user": user.pw_uid, "group": user.pw_gid} if os.geteuid() == 0 else {}
        if as_user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = os.path.join(folder, "data")
        subprocess.run([f"{programs[-1]}/initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"],
                       stdout=subprocess.DEVNULL, check=True, cwd=folder, **as_user)
        with open(os.path.join(folder, "postgres.log"), "wb") as log:
            self.server = subprocess.Popen([f"{programs[-1]}/postgres", "-D", data, "-k", folder, "-c", "listen_addresses="],
                                           stdout=log, stderr=log, cwd=folder, **as_user)
        self.pid = self.server.pid
        while subprocess.run([f"{programs[-1]}/pg_isready", "-q", "-h", folder], check=False).returncode != 0:
            if self.server.poll() is not None:
                raise Trouble(f"PostgreSQL does not start: {folder}/postgres.log")
            time.sleep(0.05)
        self.flag = f"--store=postgresql://bench@/postgres?host={folder}"

    def close(self):
        self.server.send_signal(signal.SIGINT)
        self.server.wait()


STORES = {"sqlite": Sqlite, "postgres": Postgres}


class Fleet(contextlib.AbstractContextManager):
    """A coordinator with an empty store, and workers that answer at once."""

    def __init__(self, programs, store, folder):
        self.store = STORES[store](folder)
        port, admin = free_ports(2)
        self.programs, self.address = programs, f"127.0.0.1:{port}"
        self.log = open(os.path.join(folder, "coordinator.log"), "wb")
        self.coordinator = subprocess.Popen(
            [programs / "coordinator/imgfleet-coordinator", f"--listen={self.address}", f"--admin-listen=127.0.0.1:{admin}",
             self.store.flag], stderr=self.log)
        wait_for(admin, self.coordinator, "imgfleet-coordinator")
        self.worker = subprocess.Popen(
            [programs / "bench/instant_worker", f"--coordinator={self.address}", f"--streams={STREAMS}", f"--credit={CREDIT}"],
            stderr=self.log)

    def __exit__(self, *_):
        for process in (self.worker, self.coordinator):
            process.kill()
            process.wait()
        self.store.close()
        self.log.close()

    def run(self, items):
        """Seconds and result bytes of one list."""
        done = subprocess.run([self.programs / "bench/list_client", "run", f"--coordinator={self.address}", f"--items={items}"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(f"the list of {items:,} items: {done.stderr}")
        found = json.loads(done.stdout)
        return found["seconds"], found["bytes"]


def measure(programs, store, items):
    folder = tempfile.mkdtemp(prefix="imgfleet-coordinator.", dir=os.environ.get("TMPDIR", "/tmp"))
    try:
        with Fleet(programs, store, folder) as fleet:
            for _ in range(3):
                fleet.run(1000)  # Connections, threads and statements are made.
            rounds = max(1, ROUND_ITEMS // items)
            before = cpu_seconds(fleet.coordinator.pid), family_seconds(fleet.store.pid) if fleet.store.pid else 0
            costs = [fleet.run(items) for _ in range(rounds)]
            server = family_seconds(fleet.store.pid) - before[1] if fleet.store.pid else 0
            return Run(store, items, sum(cost[0] for cost in costs) / rounds,
                       (cpu_seconds(fleet.coordinator.pid) - before[0]) / rounds, server / rounds,
                       peak_bytes(fleet.coordinator.pid), costs[0][1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(runs):
    rows = [["store, items", "items/s", "CPU µs/item", "server's CPU µs/item", "peak MB", "result bytes/item"]]
    for run in runs:
        rows.append([f"{run.store}, {run.items:,}", f"{run.items / run.seconds:,.0f}", f"{run.cpu_seconds / run.items * 1e6:.2f}",
                     f"{run.server_seconds / run.items * 1e6:.2f}" if run.server_seconds else "–",
                     f"{run.peak_bytes / 1e6:.0f}", f"{run.result_bytes / run.items:.0f}"])
    return marks.table(rows)


def judge(runs):
    """(what, its mark, at least instead of at most, found) of each mark."""
    for store, mark in MARKS.items():
        mine = {run.items: run for run in runs if run.store == store}
        if not mine:
            continue
        if 1_000_000 in mine:
            yield f"items/s on {store}, a million items", mark, True, 1_000_000 / mine[1_000_000].seconds
        largest = mine[max(mine)]
        if 100_000 in mine and largest.items > 100_000:
            cost = {items: (run.cpu_seconds + run.server_seconds) / items for items, run in mine.items()}
            yield f"CPU an item of {largest.items:,} on {store}, × that of 100,000", FLAT, False, cost[largest.items] / cost[100_000]
        yield f"peak MB of the coordinator on {store}", MEMORY_MB, False, max(run.peak_bytes for run in mine.values()) / 1e6


def report(programs, stores, largest, say):
    """Measures, says the tables line by line, and returns how many marks are missed."""
    runs = [measure(programs, store, items) for store in stores for items in SIZES + ((LARGEST,) if largest else ())]
    say("### coordinator: lists in, outcomes out, workers that answer at once", "", *table(runs), "")
    rows, missed = [["", "to reach", "found"]], 0
    for what, mark, at_least, found in judge(runs):
        bad = found < mark if at_least else found > mark
        missed += bad
        rows.append([what, f"{'≥' if at_least else '≤'} {mark:,}",
                     (f"{found:,.0f}" if found >= 1000 else f"{found:.2f}") + (" (missed)" if bad else "")])
    say(*marks.table(rows), "")
    return missed
