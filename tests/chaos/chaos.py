#!/usr/bin/python3
"""Hurts a running fleet in every way we know, job after job, and holds it to its promises.

    tests/chaos/chaos.py [--store sqlite|postgresql|both] [--kills 200] [--items 50000] [--seed N] [--only FAULT,FAULT,...]

The same seed makes the same faults in the same order; when each of them falls is up to the machine. Of each job are compared:
every field of every outcome with what the origin served (it serves another image at every fetch of some URLs), the outcomes by
index with the outcomes by commit, read all the while, and the counters with both. After each fault, and then until the job has
ended, no time without an outcome is longer than a lease period and five seconds.
"""

import argparse
import collections
import json
import os
import random
import sys
import time

sys.path[:0] = ["tests/cluster", "tests/origin", "tests/chaos"]
import fleet as fleets  # noqa: E402
import harness  # noqa: E402
import reference_list  # noqa: E402
import ruler  # noqa: E402
import watcher as watchers  # noqa: E402

RECOVERY_SECONDS = fleets.LEASE_SECONDS + 5
HOST = "images.chaos.example"


class Broken(AssertionError):
    """A promise that did not hold."""


def hold(condition, what):
    if not condition:
        raise Broken(what)


class Chaos:
    def __init__(self, fleet, seed, items):
        self.fleet, self.items = fleet, items
        self.random = random.Random(seed)
        self.kills = collections.Counter()
        self.faults = collections.Counter()
        self.recoveries = []  # (seconds, fault)
        self.jobs = 0
        self.refetched = 0

    # --- One job ------------------------------------------------------------------------------------------------------------

    def write_list(self):
        path = f"{self.fleet.lists}/{self.jobs}.tsv"
        with open(path, "w", encoding="utf-8") as file:
            file.write("id\turl\n")
            for index in range(self.items):
                file.write(f"id-{index}\thttp://{HOST}/{self.jobs}/{index}.jpg\n")
        return path

    def play_job(self, faults):
        """One job from its list to its comparison; `faults` are taken from while it runs."""
        self.jobs += 1
        path = self.write_list()
        job = self.submit(os.path.basename(path))
        watcher = watchers.Watcher(self.fleet, job)
        watcher.start()
        try:
            while not self.ended(job) and faults:
                self.hurt(faults.pop(0), job)
            self.heal()
            while self.go_on(job, "the last fault"):
                pass
        finally:
            watcher.finish()
        self.compare(job, path, watcher)

    def submit(self, name):
        """Asks again until it is answered: the list is one that costs nothing if it came twice."""
        status, headers, body = self.ask("POST", "/api/v1/images_info_async", {"filepath": name})
        hold(status == 200, f"submitting: {status} {body[:300]}")
        return headers["Location"].rpartition("/")[2]

    def ask(self, method, path, value=None, patience=60):
        """(status, headers, body) from the first gateway that gives a whole answer."""
        end = time.monotonic() + patience
        body = None if value is None else json.dumps(value)
        while True:
            for port in self.fleet.http_ports:
                self.fleet.http_port = port
                try:
                    status, headers, answer = self.fleet.http(method, path, body, {"Content-Type": "application/json"})
                    if status < 500:
                        return status, headers, answer
                except (OSError, harness.http.client.HTTPException):
                    pass
            hold(time.monotonic() < end, f"{method} {path} is not answered within {patience} s")
            time.sleep(0.05)

    def job(self, job):
        status, _, body = self.ask("GET", f"/api/v1/jobs/{job}")
        hold(status == 200, f"GET job {job}: {status} {body[:300]}")
        return json.loads(body)

    def ended(self, job):
        return self.job(job)["state"] not in ("READING", "RUNNING")

    # --- Faults -------------------------------------------------------------------------------------------------------------

    def hurt(self, name, job):
        """One fault, and the wait until outcomes go on after it."""
        time.sleep(self.random.uniform(0.1, 0.6))
        getattr(self, name)()
        self.faults[name] += 1
        begun = time.monotonic()
        self.go_on(job, name)
        self.recoveries.append((time.monotonic() - begun, name))

    def go_on(self, job, fault):
        """Waits for outcomes that are not there yet. False: the job has ended."""
        begun = time.monotonic()
        before = None
        while True:
            state = self.job(job)
            if state["state"] not in ("READING", "RUNNING"):
                return False
            done = state["succeeded"] + state["failed"]
            if before is not None and done > before:
                return True
            before = done if before is None else before
            seconds = time.monotonic() - begun
            hold(seconds < RECOVERY_SECONDS, f"no outcome for {seconds:.1f} s after {fault}: {state}")
            time.sleep(0.02)

    def heal(self):
        self.fleet.disk_full(False)
        self.fleet.disk_slow(0)
        for line in self.fleet.lines.values():
            line.mend()

    def _kill(self, kind, *processes):
        self.fleet.kill(*processes)
        self.kills[kind] += len(processes)

    def kill_worker(self):
        self._kill("worker", self.random.choice(self.fleet.workers))

    def kill_all_workers(self):
        self._kill("worker", *self.fleet.workers)

    def kill_coordinator(self):
        self._kill("coordinator", self.random.choice(self.fleet.coordinators))

    def kill_database(self):
        self.fleet.kill_database()
        self.kills["database"] += 1

    def kill_gateway(self):
        self._kill("gateway", self.random.choice(self.fleet.gateways))

    def kill_everything(self):
        if self.fleet.database is not None:
            self.kill_database()
        self._kill("coordinator", *self.fleet.coordinators)
        self._kill("worker", *self.fleet.workers)
        self._kill("gateway", *self.fleet.gateways)

    def freeze_worker(self):
        """Past its lease: when it goes on, its leases are another's, and nothing that it says of them may count."""
        self._freeze(self.random.choice(self.fleet.workers))

    def freeze_coordinator(self):
        self._freeze(self.random.choice(self.fleet.coordinators))

    def _freeze(self, process):
        self.fleet.freeze(process)
        time.sleep(fleets.LEASE_SECONDS + 1)
        self.fleet.thaw(process)

    def cut_line(self):
        for line in self.fleet.line_of(self.random.choice(self.fleet.workers)):
            line.cut()
            line.mend()

    def cut_all_lines(self):
        for line in self.fleet.lines.values():
            line.cut()
        time.sleep(1)
        self.heal()

    def swallow_line(self):
        """A cable pulled for longer than a lease."""
        lines = self.fleet.line_of(self.random.choice(self.fleet.workers))
        for line in lines:
            line.swallow()
        time.sleep(fleets.LEASE_SECONDS + 1)
        for line in lines:
            line.mend()

    def fill_disk(self):
        self.fleet.disk_full(True)
        time.sleep(2)
        self.fleet.disk_full(False)

    def slow_disk(self):
        self.fleet.disk_slow(0.3)
        time.sleep(2)
        self.fleet.disk_slow(0)

    def clock_forward(self):
        self._set_clock(3600)

    def clock_back(self):
        self._set_clock(-3600)

    def _set_clock(self, ahead):
        """And whoever waits to connect again must not wait for the clock to come back."""
        self.fleet.clock_ahead(ahead)
        for line in self.fleet.lines.values():
            line.cut()
        time.sleep(0.5)
        self.heal()

    # --- Promises -----------------------------------------------------------------------------------------------------------

    def compare(self, job, path, watcher):
        log = self.fleet.origin_log(f"/{self.jobs}/")
        self.refetched += ruler.refetched(log)
        found = ruler.problems(self.job(job), self.results(job), watcher.events, reference_list.read(path), log)
        hold(not found, f"{len(found)} problems, such as: {found[:5]}")

    def results(self, job):
        status, _, body = self.ask("GET", f"/api/v1/jobs/{job}/results")
        hold(status == 200, f"results: {status}")
        return [json.loads(line) for line in body.splitlines()]


KILLS = ("kill_worker", "kill_coordinator", "kill_gateway", "kill_worker", "kill_all_workers", "kill_coordinator", "kill_everything")
OTHERS = ("freeze_worker", "cut_line", "swallow_line", "fill_disk", "slow_disk", "clock_forward", "cut_all_lines", "clock_back",
          "freeze_coordinator")


def kills_of(store):
    return KILLS if store == "sqlite" else KILLS + ("kill_database", "kill_coordinator")


def chosen(names, kills):
    """These only, in turns, so often."""
    return [names[at % len(names)] for at in range(kills)]


def plan(rng, store, kills):
    """Faults in random order: every kind, and `kills` of them that kill."""
    faults = list(OTHERS)
    while sum(fault.startswith("kill") for fault in faults) < kills:
        faults.append(rng.choice(kills_of(store)))
        if len(faults) % 10 == 0:
            faults.append(rng.choice(OTHERS))
    rng.shuffle(faults)
    return faults


def play(store, faults, seed, items, say=print):
    begun = time.monotonic()
    coordinators = 1 if store == "sqlite" else 3
    with fleets.Fleet(store, coordinators, workers=3, gateways=2) as fleet:
        chaos = Chaos(fleet, seed, items)
        port = harness.free_port()
        fleet.start_origin("--http", str(port), "--delay-ms", "10", "--changing", "600", "--flaky", "0")
        fleet.worker_flags += [f"--map-host={HOST}=127.0.0.1:{port}", f"--polite-exempt={HOST}"]
        fleet.start()
        while faults:
            left = len(faults)
            chaos.play_job(faults)
            say(f"job {chaos.jobs}: {left - len(faults)} faults, {items} items, all as the origin served them")
    report(chaos, begun, say)
    return chaos


def report(chaos, begun, say):
    say(f"{sum(chaos.faults.values())} faults in {chaos.jobs} jobs of {chaos.items} items, {time.monotonic() - begun:.0f} s")
    say(f"{sum(chaos.kills.values())} processes killed: {dict(chaos.kills)}")
    say(f"faults: {dict(chaos.faults)}")
    worst = sorted(chaos.recoveries, reverse=True)[:3]
    say("slowest to go on: " + ", ".join(f"{seconds:.1f} s after {name}" for seconds, name in worst) +
        f" (allowed: {RECOVERY_SECONDS} s)")
    say(f"{chaos.refetched} items were fetched more than once with another image each time, and have one outcome each")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both", help="(one after the other)")
    parser.add_argument("--kills", type=int, default=200, help="faults that kill, at least, of each store (200)")
    parser.add_argument("--items", type=int, default=50_000, help="of each job (50000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the faults (by the time of day)")
    parser.add_argument("--only", metavar="FAULT,...", help="these in turns, --kills of them: the names are methods here")
    arguments = parser.parse_args()
    for store in ("sqlite", "postgresql") if arguments.store == "both" else (arguments.store,):
        print(f"{store}, seed {arguments.seed}", flush=True)
        faults = plan(random.Random(arguments.seed), store, arguments.kills)
        if arguments.only:
            faults = chosen(arguments.only.split(","), arguments.kills)
        play(store, faults, arguments.seed, arguments.items, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
