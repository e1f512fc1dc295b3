"""A PostgreSQL server of a test's own, below a folder, on a port of loopback.

    server = postgres.Server(folder)
    server.start()
    server.uri                    "postgresql://tester@127.0.0.1:PORT/postgres"
    server.kill()                 SIGKILL to all its processes, as when the power fails; start() recovers
"""

import os
import pwd
import shutil
import signal
import subprocess
import time

import harness

PROGRAMS = "/usr/lib/postgresql/15/bin"
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
recovery_init_sync_method = syncfs
log_min_messages = warning
"""


class Server:
    def __init__(self, folder, environment=None, settings=""):
        self.folder = os.path.join(folder, "postgres")
        self.log = os.path.join(folder, "postgres.log")
        self.environment = environment or {}
        self.port = harness.free_port()
        self.uri = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        self.popen = None
        os.mkdir(self.folder, 0o700)
        # PostgreSQL does not run as root.
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self.user:
            os.chmod(folder, 0o755)
            shutil.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        subprocess.run([f"{PROGRAMS}/initdb", "-D", self.folder, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8",
                        "--locale=C.UTF-8"], preexec_fn=self._become, cwd="/", check=True,
                       stdout=subprocess.DEVNULL)
        with open(f"{self.folder}/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"{SETTINGS}port = {self.port}\n{settings}\n")

    def _become(self):
        os.setsid()  # A process group of its own: kill() reaches all its processes.
        if self.user:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        harness.end_with_parent()

    def start(self):
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen([f"{PROGRAMS}/postgres", "-D", self.folder], stdout=out, stderr=out, cwd="/",
                                          env={**harness.environment(), **self.environment}, preexec_fn=self._become)
        harness.until(self.accepts, "PostgreSQL to accept connections")
        return self

    def accepts(self):
        if self.popen.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with {self.popen.returncode}; see {self.log}")
        done = subprocess.run([f"{PROGRAMS}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False)
        return done.returncode == 0

    def kill(self):
        group = self.popen.pid
        os.killpg(group, signal.SIGKILL)
        self.popen.wait()
        # What the last process held (shared memory, the port) goes with it.
        while True:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)

    def query(self, sql):
        """What psql prints for it, one line a row, values apart by |."""
        done = subprocess.run(["psql", "-XAtq", self.uri, "-c", sql], stdout=subprocess.PIPE, check=True)
        return done.stdout.decode().splitlines()
