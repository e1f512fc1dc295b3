#!/usr/bin/python3
"""The gateway as a process: how it starts, what it refuses to start with, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import harness  # noqa: E402
import sockets  # noqa: E402

INFO = "/api/v1/images_info"


def start(*flags):
    """The finished process of a gateway that is not to come up."""
    return subprocess.run([harness.binary("gateway"), "--admin-listen=", *flags], capture_output=True, text=True, timeout=30,
                          env=harness.environment(), check=False)


class RefusalTest(unittest.TestCase):
    def refused(self, code, word, *flags):
        done = start(*flags)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(word, done.stderr)

    def test_everybody_only_when_told_outright(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0"):
            self.refused(2, "--allow-anonymous", f"--listen={address}")

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.refused(3, address, f"--listen={address}")

    def test_a_list_folder_that_is_none(self):
        self.refused(3, "/nowhere/lists", "--listen=127.0.0.1:0", "--list-root=/nowhere/lists")


class EndTest(harness.ClusterTest):
    def setUp(self):
        self.origin = sockets.HeldOrigin()
        self.addCleanup(self.origin.close)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.start_coordinator()
        cls.cluster.start_worker("worker-1")

    def gateway(self, *flags):
        gateway = self.cluster.start_gateway(*flags)
        self.addCleanup(gateway.kill)
        return gateway

    def begin(self, gateway):
        """A stream whose last outcome is held back, after its first."""
        raw = sockets.Raw(self.cluster.http_port)
        self.addCleanup(raw.close)
        # In a file: few URLs alone are answered without a job.
        with open(os.path.join(self.cluster.lists, "two.txt"), "w", encoding="utf-8") as file:
            file.write(f"{self.origin.url}/held\n{self.origin.url}/quick\n")
        raw.request("POST", INFO, json.dumps({"filepath": "two.txt"}))
        self.assertEqual(raw.head()[0], 200)
        self.assertIn(b'"1": ', raw.chunk())
        self.assertIsNone(gateway.popen.poll())
        return raw

    def accepts(self):  # New connections.
        try:
            sockets.Raw(self.cluster.http_port).close()
            return True
        except ConnectionRefusedError:
            return False

    def test_a_request_in_work_ends_well_before_the_process_does(self):
        gateway = self.gateway()
        idle = sockets.Raw(self.cluster.http_port)
        self.addCleanup(idle.close)
        raw = self.begin(gateway)
        gateway.popen.send_signal(signal.SIGTERM)
        harness.until(lambda: not gateway.ready(), "readyz to say no")
        harness.until(lambda: not self.accepts(), "new connections to be refused")
        self.assertTrue(idle.ended())
        self.origin.release.set()
        self.assertIn(b'"0": ', raw.chunk())
        self.assertEqual(b"".join(iter(raw.chunk, b"")), b"}\n")
        self.assertTrue(raw.ended())
        self.assertEqual(gateway.popen.wait(10), 0)

    def test_the_drain_timeout_breaks_off_what_is_left_and_cancels_it(self):
        gateway = self.gateway("--drain-timeout=300ms")
        raw = self.begin(gateway)
        job = self.cluster.get_json("/api/v1/jobs?page_size=1")["jobs"][0]["id"]
        self.assertEqual(gateway.terminate(), 0)
        self.assertIsNone(raw.chunk())  # Not the last chunk: broken.
        self.gateway()
        harness.until(lambda: self.cluster.get_json(f"/api/v1/jobs/{job}")["state"] == "CANCELLED", "the job to be cancelled")

    def test_it_is_ready_at_once(self):
        began = time.monotonic()
        self.gateway()
        self.assertLess(time.monotonic() - began, 3)

    def test_a_second_signal_ends_it_at_once(self):
        gateway = self.gateway()
        self.begin(gateway)
        gateway.popen.send_signal(signal.SIGTERM)
        harness.until(lambda: not gateway.ready(), "readyz to say no")
        self.assertEqual(gateway.terminate(), -signal.SIGTERM)

    def test_the_drain_delay_serves_everything_until_a_second_signal_ends_it(self):
        gateway = self.gateway("--drain-delay=1h")
        idle = sockets.Raw(self.cluster.http_port)
        self.addCleanup(idle.close)
        idle.request("GET", "/ping")
        self.assertEqual(idle.answer()[1]["connection"], "keep-alive")
        gateway.popen.send_signal(signal.SIGTERM)
        harness.until(lambda: not gateway.ready(), "readyz to say no")
        with sockets.Raw(self.cluster.http_port) as fresh:
            for raw in (fresh, idle):
                raw.request("POST", INFO, json.dumps({"urls": [self.origin.url + "/quick"]}))
                status, headers, body = raw.answer()
                self.assertEqual((status, headers["connection"]), (200, "close"), body)
                self.assertTrue(raw.ended())
        self.assertEqual(gateway.terminate(), -signal.SIGTERM)

    def test_ready_follows_the_coordinator(self):
        gateway = self.gateway("--wait-timeout=300ms")
        coordinator = self.cluster.processes["coordinator"]
        coordinator.kill()
        harness.until(lambda: not gateway.ready(), "the gateway to be unready without a coordinator")
        status, headers, body = self.cluster.post(INFO, {"urls": [self.origin.url + "/quick"]})
        self.assertEqual((status, json.loads(body)["reason"]), (503, "UNAVAILABLE"))
        self.assertIn("Retry-After", headers)
        self.assertEqual(self.cluster.http("GET", "/ping")[0], 200)
        coordinator.start()
        coordinator.wait_ready()
        gateway.wait_ready()
        self.assertEqual(self.cluster.post(INFO, {"urls": [self.origin.url + "/quick"]})[0], 200)

    def test_a_coordinator_that_dies_in_mid_stream_is_waited_for(self):
        gateway = self.gateway()
        raw = self.begin(gateway)
        coordinator = self.cluster.processes["coordinator"]
        coordinator.kill()
        coordinator.start()
        coordinator.wait_ready()
        self.origin.release.set()
        self.assertEqual(b"".join(iter(raw.chunk, b"")).count(b'"url"'), 1)
        raw.request("GET", "/ping")
        self.assertEqual(raw.answer()[0], 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
