#!/usr/bin/python3
"""Small synchronous requests while the fleet behind the gateway changes: workers come, go, are killed, or there is none for a
moment; the coordinator is restarted, or one of three is killed behind one address. No request fails, though some wait."""

import collections
import contextlib
import json
import socket
import sys
import threading
import time
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import balancer  # noqa: E402
import callers  # noqa: E402
import harness  # noqa: E402
import postgres  # noqa: E402
import sockets  # noqa: E402

ORIGIN_DELAY = 0.03  # Seconds: so that something is in flight whenever a process ends.


class FleetTest(harness.ClusterTest):
    def setUp(self):
        self.cluster = harness.Cluster()
        self.addCleanup(self.end)
        self.cluster.worker_flags.append("--polite-exempt=127.0.0.1")
        self.origin = sockets.HeldOrigin(ORIGIN_DELAY)
        self.addCleanup(self.origin.close)

    def end(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            self.cluster.show_logs()
        self.cluster.__exit__(None, None, None)

    def callers(self):
        return callers.Callers(self.cluster.http_port, self.origin.url + "/quick", count=8)

    def expect_no_failure(self, calls, slowest):
        print(f"{self.id()}: {calls.answered} answers, the slowest after {calls.slowest:.2f} s")
        self.assertEqual(collections.Counter(calls.failures), {})
        self.assertLess(calls.slowest, slowest)

    def test_workers_scaled_rolled_and_killed(self):
        self.cluster.start_coordinator()
        workers = [self.cluster.start_worker("worker-0")]
        self.cluster.start_gateway()
        with self.callers() as calls:
            calls.await_more(50)
            workers += [self.cluster.start_worker(f"worker-{i}") for i in range(1, 4)]
            calls.await_more(50)
            for worker in workers:  # A rolling restart.
                self.assertEqual(worker.terminate(), 0)
                worker.start()
                worker.wait_ready()
            for worker in workers[2:]:
                worker.popen.terminate()
            calls.await_more(50)
            for worker in workers[:2]:
                worker.kill()
                calls.await_more(20)
                worker.start()
                worker.wait_ready()
            calls.await_more(50)
        self.expect_no_failure(calls, slowest=10)

    def test_the_only_worker_restarted(self):
        self.cluster.start_coordinator()
        worker = self.cluster.start_worker("worker-0")
        self.cluster.start_gateway()
        with self.callers() as calls:
            for end in (worker.terminate, worker.kill):
                calls.await_more(50)
                end()
                worker.start()
                worker.wait_ready()
            calls.await_more(50)
        self.expect_no_failure(calls, slowest=10)

    def ask(self, paths):
        """Posts them in the background: a function that waits for what is answered."""
        answers = []

        def post():
            answers.append(self.cluster.post("/api/v1/images_info", {"urls": [self.origin.url + path for path in paths]}))
        thread = threading.Thread(target=post, daemon=True)
        thread.start()

        def wait():
            thread.join(60)
            status, _, body = answers[0]
            self.assertEqual(status, 200, body)
            return [entry["image_info"]["image_dimension"] for entry in json.loads(body).values()]
        return wait

    def drain(self, worker):
        """SIGTERM, after which it is not ready at once."""
        worker.popen.terminate()
        harness.until(lambda: worker.popen.poll() is not None or not worker.ready(), "readyz to say no", patience=5)

    def test_a_worker_that_drains_finishes_what_it_began(self):
        self.cluster.start_coordinator()
        worker = self.cluster.start_worker("worker-0")
        self.cluster.start_gateway()
        answer = self.ask(["/held"])
        self.assertTrue(self.origin.held.wait(30))
        self.drain(worker)
        self.assertIsNone(worker.popen.poll())
        self.origin.release.set()
        self.assertEqual(answer(), [[30, 20]])
        self.assertEqual(worker.popen.wait(10), 0)

    def test_a_worker_that_drains_keeps_nobody_waiting_for_what_it_did_not_begin(self):
        self.cluster.worker_flags.remove("--polite-exempt=127.0.0.1")  # So that most of it waits for the origin.
        self.cluster.start_coordinator()
        worker = self.cluster.start_worker("worker-0", "--drain-timeout=10m")
        self.cluster.start_gateway()
        answer = self.ask(["/held"] * 60)
        self.assertTrue(self.origin.held.wait(30))
        self.cluster.start_worker("worker-1")
        began = time.monotonic()
        self.drain(worker)
        self.assertEqual(worker.popen.wait(30), 0)  # With no answer from the origin.
        print(f"{self.id()}: handed back within {time.monotonic() - began:.2f} s")
        self.origin.release.set()
        self.assertEqual(answer(), [[30, 20]] * 60)

    def test_the_coordinator_restarted(self):
        coordinator = self.cluster.start_coordinator()
        self.cluster.start_worker("worker-0")
        self.cluster.start_gateway()
        with self.callers() as calls:
            for end in (coordinator.terminate, coordinator.kill) * 2:
                calls.await_more(50)
                end()
                coordinator.start()
                coordinator.wait_ready()
            calls.await_more(50)
        self.expect_no_failure(calls, slowest=15)

    def test_an_address_that_swallowed_connections_is_tried_again_within_a_second(self):
        """As an address does whose pod is gone: nothing is refused, nothing comes back."""
        coordinator = self.cluster.start_coordinator()
        worker = self.cluster.start_worker("worker-0")
        gateway = self.cluster.start_gateway()
        coordinator.kill()
        with contextlib.ExitStack() as swallowing:
            hole = swallowing.enter_context(socket.create_server(("127.0.0.1", self.cluster.grpc_port), backlog=0))
            for _ in range(4):  # Beyond its backlog the kernel drops what comes.
                filler = swallowing.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(hole.getsockname())
            answer = self.ask(["/quick"])
            harness.until(lambda: not gateway.ready(), "readyz to say no")
        coordinator.start()
        coordinator.wait_ready()
        began = time.monotonic()
        gateway.wait_ready()
        took = time.monotonic() - began
        worker.wait_ready()
        self.assertEqual(answer(), [[30, 20]])
        print(f"{self.id()}: the gateway was back after {took:.2f} s, all of it after {time.monotonic() - began:.2f} s")
        self.assertLess(took, 3)

    def test_one_of_three_coordinators_killed_behind_one_address(self):
        cluster = self.cluster
        database = postgres.Server(cluster.folder).start()
        self.addCleanup(database.kill)
        coordinators = []
        for number in range(3):
            coordinators.append((self.start_coordinator(number, database.uri), cluster.grpc_port))
        service = balancer.Balancer([(port, coordinator.admin_port) for coordinator, port in coordinators], delay=0.3)
        self.addCleanup(service.close)
        harness.until(lambda: len(service.view) == 3, "the balancer to know all three")
        cluster.grpc_port = service.port
        for number in range(3):
            cluster.start_worker(f"worker-{number}")
        cluster.start_gateway()
        with self.callers() as calls:
            for coordinator, port in coordinators:
                calls.await_more(50)
                coordinator.kill()
                harness.until(lambda port=port: port not in service.view, "the balancer to notice")
                coordinator.start()
                coordinator.wait_ready()
            calls.await_more(50)
        self.expect_no_failure(calls, slowest=15)

    def start_coordinator(self, number, store):
        cluster = self.cluster
        cluster.grpc_port, admin = harness.free_port(), harness.free_port()
        return cluster._start(f"coordinator-{number}", [
            harness.binary("coordinator"), f"--listen=127.0.0.1:{cluster.grpc_port}", f"--admin-listen=127.0.0.1:{admin}",
            f"--store={store}", "--lease-period=5s"], admin).wait_ready()


if __name__ == "__main__":
    unittest.main(verbosity=2)
