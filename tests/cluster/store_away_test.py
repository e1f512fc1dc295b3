#!/usr/bin/python3
"""A coordinator whose PostgreSQL is not there: at the start it waits, says so and serves once the server comes; where it
leaves later, readiness says so until it is back, and nothing is cut. What no waiting mends ends it with one line."""

import json
import pathlib
import re
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.path[:0] = ["tests/cluster", "tests/origin"]
import harness  # noqa: E402
import postgres  # noqa: E402

SERVICES = ("", "imgfleet.v1.Jobs", "imgfleet.v1.Workers")
PASSWORD = "s3cret-and-right"


class Coordinator:
    """One that is not expected to become ready."""

    def __init__(self, test, store, *flags, environment=None, port=None):
        self.port, self.admin = port or harness.free_port(), harness.free_port()
        self.process = harness.Process("coordinator", [
            harness.binary("coordinator"), f"--listen=127.0.0.1:{self.port}", f"--admin-listen=127.0.0.1:{self.admin}",
            f"--store={store}", *flags], f"{test.cluster.folder}/coordinator-{self.port}.log", self.admin, environment)
        test.cluster.processes[f"coordinator-{self.port}"] = self.process
        test.addCleanup(self.process.kill)

    def log(self):
        return pathlib.Path(self.process.log).read_text("utf-8").splitlines()

    def asked(self, path):
        """(status, body); None while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None

    def readiness(self):
        return harness.until(lambda: self.asked("/readyz"), "the admin port to answer")

    def grpcurl(self, method, request):
        return subprocess.run([harness.tool("grpcurl"), "-plaintext", "-max-time", "10", "-d", json.dumps(request),
                               f"127.0.0.1:{self.port}", method], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)

    def health(self):
        return [json.loads(self.grpcurl("grpc.health.v1.Health/Check", {"service": name}).stdout)["status"]
                for name in SERVICES]

    def exit_code(self):
        return self.process.popen.wait(harness.PATIENCE)


class StoreAwayTest(harness.ClusterTest):
    def setUp(self):
        self.database = postgres.Server(self.cluster.folder)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.database.folder], check=True)

    def start_database(self):
        self.database.start()
        self.addCleanup(self.database.kill)

    def expect_waiting(self, coordinator, reason):
        """It says why in each way it has, once in its log."""
        status, line = harness.until(lambda: (coordinator.readiness() if reason in coordinator.readiness()[1] else None), reason)
        self.assertEqual(status, 503)
        self.assertEqual(line.count("\n"), 1, line)
        self.assertIn(f"not ready: store postgresql://tester@127.0.0.1:{self.database.port}/postgres: ", line)
        self.assertEqual(coordinator.asked("/healthz"), (200, "ok\n"))
        self.assertEqual(coordinator.health(), ["NOT_SERVING"] * 3)
        refused = coordinator.grpcurl("imgfleet.v1.Jobs/ListJobs", {})
        self.assertIn("Code: Unavailable", refused.stderr)
        self.assertIn(reason, refused.stderr)
        self.assertIn("Code: Unavailable", coordinator.grpcurl("imgfleet.v1.Jobs/WatchJob", {"id": "x"}).stderr)
        self.assertIn("Code: Unavailable", coordinator.grpcurl("imgfleet.v1.Workers/Work", {}).stderr)
        self.assertEqual(len([line for line in coordinator.log() if reason in line]), 1, coordinator.log())

    def expect_serving(self, coordinator, patience):
        began = time.monotonic()
        coordinator.process.wait_ready()
        self.assertLess(time.monotonic() - began, patience)
        harness.until(lambda: coordinator.health() == ["SERVING"] * 3, "health to say the same", patience=2)
        made = coordinator.grpcurl("imgfleet.v1.Jobs/CreateJob",
                                   {"spec": {"measure": {}}, "items": {"items": [{"url": "http://127.0.0.1:9/1.png"}]}})
        self.assertEqual(made.returncode, 0, made.stderr)

    def test_waits_for_a_server_that_comes_later(self):
        coordinator = Coordinator(self, self.database.uri)
        self.expect_waiting(coordinator, "Connection refused")
        self.start_database()
        self.expect_serving(coordinator, patience=5)
        self.assertEqual(len([line for line in coordinator.log() if "the store is there" in line]), 1)
        self.assertEqual(self.database.query("SELECT count(*) FROM jobs"), ["1"])
        self.assertEqual(coordinator.process.terminate(), 0)

    def test_waits_for_a_password_to_be_mended_and_shows_none(self):
        self.start_database()
        hba = pathlib.Path(self.database.folder, "pg_hba.conf")
        self.database.query("CREATE ROLE admin SUPERUSER LOGIN; ALTER ROLE tester PASSWORD 'another'")
        hba.write_text("host all admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        admin = self.database.uri.replace("tester@", "admin@")
        self.database.uri, uri = admin, self.database.uri
        self.database.query("SELECT pg_reload_conf()")
        coordinator = Coordinator(self, uri, environment={"PGPASSWORD": PASSWORD})
        self.expect_waiting(coordinator, "password authentication failed")
        self.database.query(f"ALTER ROLE tester PASSWORD '{PASSWORD}'")
        self.expect_serving(coordinator, patience=5)
        self.assertNotIn("s3cret", "".join(coordinator.log()))

    def test_waits_for_a_database_to_be_made(self):
        self.start_database()
        coordinator = Coordinator(self, self.database.uri.replace("/postgres", "/images"))
        harness.until(lambda: 'database "images" does not exist' in coordinator.readiness()[1], "it to say so")
        self.database.query("CREATE DATABASE images")
        self.expect_serving(coordinator, patience=5)

    def test_a_stop_while_it_waits_is_prompt(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # Takes connections and says nothing.
            for store in (self.database.uri, f"postgresql://tester@127.0.0.1:{silent.getsockname()[1]}/postgres"):
                coordinator = Coordinator(self, store, "--drain-delay=1h")
                harness.until(lambda c=coordinator: any("listening" in line for line in c.log()), "it to listen")
                began = time.monotonic()
                self.assertEqual(coordinator.process.terminate(), 0, coordinator.log())
                self.assertLess(time.monotonic() - began, 3)

    def test_what_no_waiting_mends_ends_it_at_once(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        self.start_database()
        Coordinator(self, self.database.uri).process.wait_ready()
        self.database.query("UPDATE imgfleet_schema SET version = 99")
        for store, port, said in (
                ("mysql://x", None, "is unknown"),
                ("sqlite:/no/such/folder/imgfleet.db", None, "does not exist; make it first"),
                (self.database.uri, None, "newer release"),
                (self.database.uri + "?sslmode=sometimes", None, 'invalid sslmode value: "sometimes"'),
                ("memory:", taken.getsockname()[1], "in use")):
            with self.subTest(said=said):
                coordinator = Coordinator(self, store, port=port)
                self.assertEqual(coordinator.exit_code(), 3)
                self.assertEqual(len(coordinator.log()), 1, coordinator.log())
                self.assertIn(said, coordinator.log()[0])

    def test_what_shows_up_when_the_server_comes_ends_it_then(self):
        self.database.start()
        Coordinator(self, self.database.uri).process.wait_ready()
        self.database.query("UPDATE imgfleet_schema SET version = 99")
        self.database.kill()
        coordinator = Coordinator(self, self.database.uri)
        self.expect_waiting(coordinator, "Connection refused")
        self.start_database()
        self.assertEqual(coordinator.exit_code(), 3)
        self.assertRegex(coordinator.log()[-1], "error .*newer release")

    def test_a_server_that_leaves_is_said_and_cuts_nothing(self):
        self.start_database()
        coordinator = Coordinator(self, self.database.uri)
        coordinator.process.wait_ready()
        self.cluster.grpc_port = coordinator.port
        worker = self.cluster.start_worker(f"worker-{coordinator.port}")
        self.addCleanup(worker.kill)
        self.database.kill()
        began = time.monotonic()
        status, line = harness.until(lambda: (coordinator.readiness() if coordinator.readiness()[0] != 200 else None),
                                     "readiness to say no")
        self.assertGreater(time.monotonic() - began, 2, "a moment is no failure")
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(line.count("\n"), 1, line)
        self.assertIn(f"store postgresql://tester@127.0.0.1:{self.database.port}/postgres: ", line)
        harness.until(lambda: coordinator.health() == ["NOT_SERVING"] * 3, "health to say no")
        self.assertTrue(worker.ready(), "its stream is there")
        self.database.start()
        self.expect_serving(coordinator, patience=5)
        harness.until(lambda: self.database.query("SELECT sum(succeeded + failed) FROM jobs") == ["1"], "the worker to work")
        connects = re.search(r"^imgfleet_worker_connects_total(?:{.*})? (\d+)", worker.metrics(), re.MULTILINE)
        self.assertEqual(connects.group(1), "1")
        said = "\n".join(coordinator.log())
        for once in ("the store fails, nothing is lost", "not ready any more", "the store works again", "ready again"):
            self.assertEqual(said.count(once), 1, said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
