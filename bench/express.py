"""What one URL costs through gateway, coordinator and worker, more than fetched directly: on an idle cluster, and on one that
is busy with a large job; and how long a one-item job beside that job takes."""

import contextlib
import json
import os
import statistics
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass

import marks
from clients import RANGE, Cluster, Trouble
from origin import free_ports

REQUESTS = 1000
LARGE = 20  # Times the list: more than is done while it is measured.


@dataclass(frozen=True)
class Extra:
    median_ms: float
    p99_ms: float


@contextlib.contextmanager
def cluster(programs, folder):
    """The URL of a gateway before a coordinator and a worker."""
    grpc, http, *admins = free_ports(5)
    coordinator = f"127.0.0.1:{grpc}"
    commands = [["coordinator/imgfleet-coordinator", "--listen", coordinator, "--store", f"sqlite:{folder}/express.db"],
                ["worker/imgfleet-worker", "--coordinator", coordinator, "--allow-address", "127.0.0.0/8"],
                ["gateway/imgfleet-gateway", "--listen", f"127.0.0.1:{http}", "--coordinator", coordinator,
                 "--list-root", str(folder)]]
    running = []
    try:
        for command, admin in zip(commands, admins):
            with open(folder / f"express-{len(running)}.log", "wb") as log:
                running.append(subprocess.Popen([str(programs / command[0]), *command[1:], "--admin-listen", f"127.0.0.1:{admin}"],
                                                stdout=log, stderr=log))
            Cluster.wait_ready(running[-1], admin)
        yield f"http://127.0.0.1:{http}"
    finally:
        for process in running:
            process.kill()
            process.wait()
        for name in os.listdir(folder):
            if name.startswith("express.db"):
                os.unlink(folder / name)


def ask(method, url, value=None):
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def extra(programs, gateway, url, count):
    """What the gateway's answer takes longer than the origin's."""
    asked = f"{gateway}/api/v1/image?url={urllib.parse.quote(url, safe='')}"
    done = subprocess.run([str(programs / "bench/latency"), str(count), asked, url, RANGE], capture_output=True, text=True,
                          check=False, timeout=300)
    if done.returncode:
        raise Trouble(f"bench/latency: {done.stderr}")
    said = json.loads(done.stdout)
    if said["bad"]:
        raise Trouble(f"{said['bad']} of {count} requests failed; one ends {urllib.request.urlopen(asked, timeout=60).read()[-300:]}")
    return Extra(said["a_median"] - said["b_median"], said["a_p99"] - said["b_p99"])


def tiny_job(gateway, url):
    """Seconds from submitting a job of one item to knowing that it has ended."""
    begun = time.monotonic()
    job = ask("POST", f"{gateway}/api/v1/jobs", {"urls": [url]})
    while not job["end_time"]:
        time.sleep(0.002)
        job = ask("GET", f"{gateway}/api/v1/jobs/{job['id']}")
    return time.monotonic() - begun


def report(rounds):
    """The table of some rounds of measure()."""
    rows = [["", *(f"round {i + 1}" for i in range(len(rounds))), "median"]]
    for says, value in (("idle: median, ms more", lambda r: r[0].median_ms), ("idle: 99th percentile, ms more", lambda r: r[0].p99_ms),
                        ("beside a large job: median, ms more", lambda r: r[1].median_ms),
                        ("beside a large job: 99th percentile, ms more", lambda r: r[1].p99_ms),
                        ("a job of one item beside a large one, s", lambda r: r[2])):
        values = [value(each) for each in rounds]
        rows.append([says, *(f"{each:.2f}" for each in [*values, statistics.median(values)])])
    return marks.table(rows)


def measure(programs, folder, urls, count=REQUESTS):
    """(Extra when idle, Extra when busy, seconds for a job of one item when busy)"""
    with cluster(programs, folder) as gateway:
        idle = extra(programs, gateway, urls[0], count)
        (folder / "large.txt").write_text("\n".join(urls * LARGE) + "\n")
        large = ask("POST", f"{gateway}/api/v1/jobs", {"filepath": "large.txt"})
        path = f"{gateway}/api/v1/jobs/{large['id']}"
        while not ask("GET", path)["succeeded"]:
            time.sleep(0.05)
        busy = extra(programs, gateway, urls[0], count // 2)
        seconds = max(tiny_job(gateway, urls[0]) for _ in range(5))
        if ask("GET", path)["end_time"]:
            raise Trouble("the large job was over before the measurements; make its list longer")
        ask("POST", path + ":cancel")
    return idle, busy, seconds
