"""A fleet to be hurt: real processes on loopback, the lines between workers and coordinators, and the machine's clock and disk.

    fleet = Fleet("sqlite", coordinators=1, workers=3, gateways=2)
    fleet.start()
    fleet.kill(fleet.workers[0])        SIGKILL, and a new process in its place at once
    fleet.freeze(process)               SIGSTOP; thaw() lets it go on where it was
    fleet.line(worker, coordinator)     proxy.Line
    fleet.clock_ahead(3600)             the wall clock of every process of ours, in seconds
    fleet.disk_full(True), fleet.disk_slow(0.2)     for coordinators (and the database's processes)
"""

import mmap
import os
import shutil
import signal
import struct
import sys

sys.path[:0] = ["tests/cluster", "tests/chaos"]
import harness  # noqa: E402
import postgres  # noqa: E402
import proxy  # noqa: E402

LEASE_SECONDS = 5
CONTROL_BYTES = 24
FAULTS = "tests/chaos/libfaults.so"


class Control:
    """What libfaults.so reads: see faults.cc."""

    def __init__(self, path, preload):
        self.path, self.preload = path, preload
        with open(path, "wb") as file:
            file.write(bytes(CONTROL_BYTES))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), CONTROL_BYTES)

    def set(self, place, value):
        struct.pack_into("<q", self.memory, place, int(value))

    def environment(self):
        return {"LD_PRELOAD": self.preload, "FAULTS_CONTROL": self.path}


class Fleet(harness.Cluster):
    def __init__(self, store="sqlite", coordinators=1, workers=2, gateways=1, concurrency=64):
        super().__init__()
        self.store = store
        self.counts = (coordinators, workers, gateways)
        self.concurrency = concurrency
        # Where PostgreSQL, which may be another user, can read it too: what cannot be preloaded is left out without an error.
        os.chmod(self.folder, 0o755)
        preload = shutil.copy(next(path for path in (FAULTS, "bazel-bin/" + FAULTS) if os.path.exists(path)), self.folder)
        os.chmod(preload, 0o755)
        self.clock = Control(os.path.join(self.folder, "clock"), preload)
        self.disk = Control(os.path.join(self.folder, "disk"), preload)
        self.coordinators, self.workers, self.gateways = [], [], []
        self.database = None
        self.lines = {}  # (worker name, coordinator name) -> proxy.Line
        self.http_ports = []

    def _start_role(self, role, name, arguments, control):
        admin = harness.free_port()
        command = [harness.binary(role), f"--admin-listen=127.0.0.1:{admin}", *arguments]
        process = harness.Process(name, command, os.path.join(self.folder, name + ".log"), admin,
                                  extra_environment=control.environment())
        self.processes[name] = process
        return process

    def _store_flag(self):
        if self.store == "sqlite":
            return f"--store=sqlite:{self.folder}/imgfleet.db"
        self.database = postgres.Server(self.folder, self.disk.environment()).start()
        return f"--store={self.database.uri}"

    def start(self):
        coordinators, workers, gateways = self.counts
        ports = []
        store = self._store_flag()
        for number in range(coordinators):
            ports.append(harness.free_port())
            self.coordinators.append(self._start_role(
                "coordinator", f"coordinator-{number}",
                [f"--listen=127.0.0.1:{ports[-1]}", store, f"--list-root={self.lists}",
                 f"--lease-period={LEASE_SECONDS}s"], self.disk))
            self.coordinators[-1].wait_ready()
        self.grpc_port = ports[0]
        for number in range(workers):
            name = f"worker-{number}"
            addresses = []
            for at, port in enumerate(ports):
                line = self.lines[name, f"coordinator-{at}"] = proxy.Line(("127.0.0.1", port))
                addresses.append(f"127.0.0.1:{line.port}")
            self.workers.append(self._start_role(
                "worker", name, [*(f"--coordinator={address}" for address in addresses), f"--name={name}",
                                 f"--concurrency={self.concurrency}",
                                 *self.worker_flags], self.clock))
        for number in range(gateways):
            port = harness.free_port()
            self.http_ports.append(port)
            self.gateways.append(self._start_role(
                "gateway", f"gateway-{number}",
                [f"--listen=127.0.0.1:{port}", *(f"--coordinator=127.0.0.1:{p}" for p in ports),
                 f"--list-root={self.lists}"], self.clock))
        for process in [*self.workers, *self.gateways]:
            process.wait_ready()
        self.http_port = self.http_ports[0]
        return self

    def line_of(self, worker):
        return [line for (name, _), line in self.lines.items() if name == worker.name]

    @staticmethod
    def kill(*processes):
        """All of them at the same moment, then new ones in their places."""
        for process in processes:
            process.popen.kill()
        for process in processes:
            process.popen.wait()
        for process in processes:
            process.start()

    def kill_database(self):
        self.database.kill()
        self.database.start()

    def __exit__(self, kind, error, trace):
        if self.database is not None and self.database.popen is not None:
            self.database.kill()
        super().__exit__(kind, error, trace)

    @staticmethod
    def freeze(process):
        process.popen.send_signal(signal.SIGSTOP)

    @staticmethod
    def thaw(process):
        process.popen.send_signal(signal.SIGCONT)

    def clock_ahead(self, seconds):
        for control in (self.clock, self.disk):
            control.set(0, seconds * 1_000_000)

    def disk_full(self, full):
        self.disk.set(8, full)

    def disk_slow(self, seconds):
        self.disk.set(16, seconds * 1_000_000)
