"""Starts real imgfleet processes and a test origin on free ports of loopback, and ends them.

    with harness.Cluster() as cluster:
        cluster.start_origin("--list", path, https="images.example")
        cluster.start_coordinator()
        cluster.start_worker("w1")
        cluster.start_gateway()
        status, headers, body = cluster.post("/api/v1/images_info", {"filepath": "list.tsv"})

Every wait polls a condition and has a bound. Where a test fails, the processes' logs are printed. Run by Bazel or by hand
from the top of the repository, after `bazel build //...`.
"""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

ROLES = {"coordinator": "coordinator/imgfleet-coordinator", "worker": "worker/imgfleet-worker",
         "gateway": "gateway/imgfleet-gateway", "imgfleet": "cli/imgfleet"}
PATIENCE = 30  # Seconds a process may take to become ready or to end on its own.


def binary(role):
    """The program of a role: from the test's own files, else what Bazel built last."""
    for folder in ("", "bazel-bin/"):
        path = pathlib.Path(folder + ROLES[role])
        if path.exists():
            return str(path.absolute())
    raise FileNotFoundError(f"{ROLES[role]} is not built: bazel build //...")


def environment():
    """This test's own, without what would configure imgfleet."""
    return {name: value for name, value in os.environ.items() if not name.startswith("IMGFLEET_")}


def tool(name):
    """A program that tools/setup.sh put below $IMGFLEET_CACHE."""
    cache = os.environ.get("IMGFLEET_CACHE")
    folders = [cache] if cache else []
    folders += [os.path.join(home, ".cache/imgfleet")
                for home in (os.environ.get("HOME"), pwd.getpwuid(os.getuid()).pw_dir) if home]
    for folder in folders:
        path = os.path.join(folder, "bin", name)
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{name} is in none of {folders}: run tools/setup.sh test")


def until(condition, what, patience=PATIENCE):
    """Polls until `condition()` is true and returns its value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience} s for {what}")
        time.sleep(0.01)


def free_port():
    """A port that nobody listens on, below those that the system gives to whoever connects: a process that is killed and
    started again must find it free. Another process could take it first; each test has a network of its own under Bazel."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.randrange(10_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Process:
    """One program with its log. Given the same arguments again, restart() is a new process on the same ports."""

    def __init__(self, name, command, log, admin_port=None, extra_environment=None):
        self.name, self.command, self.log, self.admin_port = name, command, log, admin_port
        self.extra_environment = extra_environment or {}
        self.popen = None
        self.start()

    def start(self):
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.command, stdout=out, stderr=out,
                                          env={**environment(), **self.extra_environment}, preexec_fn=end_with_parent)

    def kill(self):
        """SIGKILL."""
        self.popen.kill()
        self.popen.wait()

    def terminate(self):
        """SIGTERM, and the exit code that follows."""
        self.popen.terminate()
        return self.popen.wait(PATIENCE)

    def ready(self):
        if self.popen.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.popen.returncode}:\n{self.tail()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_ready(self):
        until(self.ready, f"{self.name} to be ready; its log ends\n{self.tail()}")
        return self

    def tail(self, lines=25):
        return "\n".join(pathlib.Path(self.log).read_text("utf-8", "replace").splitlines()[-lines:])

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5) as answer:
            return answer.read().decode()


class Cluster(contextlib.AbstractContextManager):
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="imgfleet-cluster.", dir="/tmp")
        self.lists = os.path.join(self.folder, "lists")
        os.mkdir(self.lists)
        self.processes = {}
        self.origin = {}  # What origin.py said: http, https, ca_file.
        self.worker_flags = ["--allow-address=127.0.0.0/8"]
        self.grpc_port = self.http_port = None

    def __exit__(self, kind, error, trace):
        for process in reversed(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.popen.kill()
        for process in self.processes.values():
            process.popen.wait()
        if kind is not None:
            self.show_logs()
        shutil.rmtree(self.folder, ignore_errors=True)

    def show_logs(self):
        for process in self.processes.values():
            code = process.popen.poll()
            state = "runs" if code is None else f"ended with {code}"
            print(f"--- {process.name} {state}; its log ends:\n{process.tail()}", file=sys.stderr)

    def _start(self, name, command, admin_port=None):
        process = Process(name, command, os.path.join(self.folder, name + ".log"), admin_port)
        self.processes[name] = process
        return process

    def start_origin(self, *arguments, host=None):
        """With `host`, also over TLS under that name, and workers are told to find it there."""
        tls = ["--https", "0", "--host", host, "--tls-dir", self.folder] if host else []
        process = self._start("origin", ["/usr/bin/python3", "tests/origin/origin.py", *arguments, *tls])

        def said():
            if process.popen.poll() is not None:
                raise RuntimeError(f"the origin ended:\n{process.tail()}")
            for line in pathlib.Path(process.log).read_text("utf-8").splitlines():
                if line.startswith('{"http"'):
                    return json.loads(line)
            return None

        self.origin = until(said, "the origin to listen")
        if host:
            self.worker_flags += [f"--map-host={host}=127.0.0.1:{self.origin['https']}",
                                  f"--ca-file={self.origin['ca_file']}"]
        return process

    def origin_log(self, prefix=""):
        """path -> every answer given for it, in order; of paths that begin so."""
        url = f"http://127.0.0.1:{self.origin['http']}/_origin/log?prefix={prefix}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            rows = [json.loads(line) for line in answer]
        log = {}
        for row in rows:
            log.setdefault(row["path"], []).append(row)
        return log

    def start_coordinator(self, *flags):
        self.grpc_port, admin = free_port(), free_port()
        return self._start("coordinator", [
            binary("coordinator"), f"--listen=127.0.0.1:{self.grpc_port}", f"--admin-listen=127.0.0.1:{admin}",
            f"--store=sqlite:{self.folder}/imgfleet.db", f"--list-root={self.lists}", *flags], admin).wait_ready()

    def start_worker(self, name, *flags):
        admin = free_port()
        return self._start(name, [
            binary("worker"), f"--coordinator={self.coordinator_address()}", f"--name={name}",
            f"--admin-listen=127.0.0.1:{admin}", *self.worker_flags, *flags], admin).wait_ready()

    def start_gateway(self, *flags, name="gateway"):
        self.http_port, admin = free_port(), free_port()
        return self._start(name, [
            binary("gateway"), f"--listen=127.0.0.1:{self.http_port}", f"--coordinator={self.coordinator_address()}",
            f"--list-root={self.lists}", f"--admin-listen=127.0.0.1:{admin}", *flags], admin).wait_ready()

    def coordinator_address(self):
        return f"127.0.0.1:{self.grpc_port}"

    def url(self, path):
        return f"http://127.0.0.1:{self.http_port}{path}"

    def http(self, method, path, body=None, headers=None):
        """(status, headers, body as bytes)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, path, value):
        return self.http("POST", path, json.dumps(value), {"Content-Type": "application/json"})

    def get_json(self, path):
        status, _, body = self.http("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:500]!r}")
        return json.loads(body)


class ClusterTest(unittest.TestCase):
    """A test case with a cluster of its own, whose logs are shown where a test fails."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls._end)

    @classmethod
    def _end(cls):
        if getattr(cls, "failed", False):
            cls.cluster.show_logs()
        cls.cluster.__exit__(None, None, None)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        outcome = super().run(result)
        if len(result.failures) + len(result.errors) > before:
            type(self).failed = True
        return outcome


def run_cli(arguments, text=None, patience=60, **options):
    """The finished `imgfleet` command."""
    return subprocess.run([binary("imgfleet"), *arguments], input=text, timeout=patience, env=environment(),
                          stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, check=False, **options)


def interrupt(popen):
    popen.send_signal(signal.SIGINT)
