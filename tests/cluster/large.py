"""Lists of any length in tests: workers that answer at once, a client that makes a list up and checks what comes of it, and
how much memory processes hold.

With IMGFLEET_BIG in the environment (`make big`) lists have ten million items and readers stop for five minutes."""

import json
import os
import pathlib
import re
import subprocess
import threading

import harness

BIG = bool(os.environ.get("IMGFLEET_BIG"))
PATIENCE = 1800 if BIG else 120


def program(name):
    for folder in ("", "bazel-bin/"):
        path = pathlib.Path(folder + "bench/" + name)
        if path.exists():
            return str(path.absolute())
    raise FileNotFoundError(f"bench/{name} is not built: bazel build //bench/...")


def memory(pid, field="VmHWM"):
    """Bytes: VmHWM is the peak, VmRSS what is held now."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def start_instant_workers(cluster, *flags):
    return cluster._start("workers", [program("instant_worker"), f"--coordinator={cluster.coordinator_address()}", *flags])


class Client:
    """One run of bench/list_client."""

    def __init__(self, cluster, command, *flags):
        self.popen = subprocess.Popen(
            [program("list_client"), command, f"--coordinator={cluster.coordinator_address()}", *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=harness.environment(),
            preexec_fn=harness.end_with_parent)

    def line(self):
        """What it says next: `job ID` or `paused N`; raises where it ended instead."""
        said = self.popen.stdout.readline().split()
        if not said or said[0] not in ("job", "paused"):
            self.popen.kill()
            raise RuntimeError(f"list_client said {said}: {self.popen.stderr.read()}")
        return said[1]

    def go_on(self):
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def result(self):
        """What it found; raises where anything was wrong."""
        out, err = self.popen.communicate(timeout=PATIENCE)
        if self.popen.returncode != 0:
            raise RuntimeError(f"list_client: {err}")
        return json.loads(out.splitlines()[-1])


def client(cluster, command, *flags):
    return Client(cluster, command, *flags).result()


class Watch(threading.Thread):
    """The most that was seen of some figures, looked at ten times a second: {name: function}."""

    def __init__(self, figures):
        super().__init__(daemon=True)
        self.figures, self.most = figures, {name: 0 for name in figures}
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.1):
            for name, figure in self.figures.items():
                try:
                    self.most[name] = max(self.most[name], figure())
                except (OSError, RuntimeError):
                    pass  # Not there yet, or no more.

    def end(self):
        self.over.set()
        self.join()
        return self.most


def file_bytes(path):
    return lambda: os.path.getsize(path)


def metric(process, name):
    found = re.search(rf"^{name}(?:{{}})? (\S+)$", process.metrics(), re.MULTILINE)
    return float(found.group(1)) if found else 0
