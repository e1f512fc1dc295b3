#!/usr/bin/python3
"""Measures on a node that is up (tests/k8s/node, with the images of tests/k8s/images loaded) what each pod costs at a rate, and what a
million items add to the store.

    KUBE_NODE=... tests/k8s/cluster/measure.py dev|prod [--workers 2] [--items 50000] [--concurrency 8]

A job of so many quick images runs to its end. CPU and memory are those of the pods' control groups: CPU from the job's first outcome
to its last, memory at its most. The store is measured before and after, SQLite after a checkpoint of its log by the coordinator's
end. The rate is what the test's origin gives, one process of Python; it shares the machine with all else.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import kube
from stage import TOP, Stage

sys.path[:0] = [str(TOP / "tests/cluster")]
import harness  # noqa: E402

NAMESPACE = "imgfleet-measure"
GROUPS = pathlib.Path("/sys/fs/cgroup")
PATIENCE_SECONDS = 1800


class Usage:
    """A container's control group, of either version."""

    def __init__(self, pod):
        container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        self.role = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        self.folders = [pathlib.Path(path) for path, _, _ in os.walk(GROUPS) if os.path.basename(path) == container]

    def _read(self, *names):
        for folder in self.folders:
            for name in names:
                if (folder / name).exists():
                    return (folder / name).read_text("ascii")
        raise FileNotFoundError(f"none of {names} in {self.folders}")

    def cpu_seconds(self):
        text = self._read("cpuacct.usage", "cpu.stat")
        return int(text.split()[1]) / 1e6 if text.startswith("usage_usec") else int(text) / 1e9

    def memory_bytes(self):
        """What it cannot give back: anonymous memory."""
        fields = dict(line.split() for line in self._read("memory.stat").splitlines())
        return int(fields.get("total_rss", fields.get("anon", 0)))


class Peak:
    def __init__(self, usages):
        self.usages, self.bytes = usages, [0] * len(usages)

    def look(self):
        self.bytes = [max(most, usage.memory_bytes()) for most, usage in zip(self.bytes, self.usages)]


def store_bytes(stage):
    if stage.overlay == "prod":
        stage.kubectl("exec", "deploy/postgresql", "--", "psql", "-h", "/tmp", "-U", "imgfleet", "-qc", "checkpoint", "postgres")
        return int(stage.kubectl("exec", "deploy/postgresql", "--", "psql", "-h", "/tmp", "-U", "imgfleet", "-Atc",
                                 "select pg_database_size('postgres')", "postgres"))
    volume = stage.get("pvc")["items"][0]["spec"]["volumeName"]
    inside = kube.get("pv", volume)["spec"]["local"]["path"]  # The node has its own /var.
    folder = pathlib.Path("/var/tmp/imgfleet-node", os.environ.get("KUBE_NODE", "imgfleet"), inside.removeprefix("/var/"))
    return (folder / "imgfleet.db").stat().st_size


def settle_store(stage):
    """SQLite's log goes into its file when the coordinator ends."""
    if stage.overlay == "dev":
        stage.restart("coordinator")
        stage.wait("coordinator")


def submit(stage, items):
    listed = [{"id": str(number), "url": f"{stage.small}/{number}.jpg"} for number in range(items)]
    return json.loads(stage.ask("POST", "/api/v1/jobs", json.dumps({"items": listed})))["id"]


def run(stage, items):
    """One job: (seconds, CPU seconds by pod, peak bytes by pod, usages, what the gateway says of it)."""
    usages = [Usage(pod) for role in ("coordinator", "gateway", "worker", "database") for pod in stage.pods(role)]
    peak = Peak(usages)
    job = submit(stage, items)

    def done():
        peak.look()
        state = json.loads(stage.ask("GET", f"/api/v1/jobs/{job}"))
        return state if state["state"] not in ("READING", "RUNNING") else None

    before, begun = [usage.cpu_seconds() for usage in usages], time.monotonic()
    state = harness.until(done, "the job to end", PATIENCE_SECONDS)
    seconds = time.monotonic() - begun
    cpu = [usage.cpu_seconds() - was for usage, was in zip(usages, before)]
    return seconds, cpu, peak.bytes, usages, state


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overlay", choices=("dev", "prod"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--items", type=int, default=50_000, help="(50000)")
    parser.add_argument("--concurrency", type=int, default=8, help="of each worker (8)")
    arguments = parser.parse_args()
    kube.delete_namespace(NAMESPACE)
    kube.apply({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    try:
        stage = Stage(arguments.overlay, NAMESPACE, "images.reference.example", concurrency=arguments.concurrency)
        if arguments.overlay == "prod":
            secrets = kube.run([str(TOP / "tests/k8s/overlays/prod/make_secrets.py")])
            kube.kubectl("--namespace", NAMESPACE, "apply", "-f", "-", stdin=secrets)
        stage.build()
        stage.scale(arguments.workers)
        stage.wait("worker")
        run(stage, 1000)
        settle_store(stage)
        before = store_bytes(stage)
        seconds, cpu, peak, usages, state = run(stage, arguments.items)
        settle_store(stage)
        grown = store_bytes(stage) - before
    finally:
        kube.delete_namespace(NAMESPACE)
    print(f"{arguments.overlay}: {arguments.items} items in {seconds:.1f} s: {arguments.items / seconds:.0f} items/s, "
          f"{state['fetched_bytes'] / arguments.items:.0f} bytes each; {state['summary']}")
    for usage, used, most in zip(usages, cpu, peak):
        print(f"  {usage.role:12} {used / seconds * 1000:6.0f}m CPU, {used / arguments.items * 1e6:6.0f} us an item, "
              f"{most / 2**20:6.1f} MiB at most")
    print(f"  the store grew by {grown / arguments.items:.0f} bytes an item: {grown / arguments.items * 1e6 / 2**20:.0f} MiB a million")


if __name__ == "__main__":
    main()
