#!/usr/bin/python3
"""Gateways restarted in turn behind a balancer that hears of it late, as behind a Kubernetes Service: with --drain-delay no
request fails; without it some do, which shows that the test would see it."""

import sys
import unittest

sys.path[:0] = ["tests/cluster", "tests/gateway"]
import balancer  # noqa: E402
import callers  # noqa: E402
import harness  # noqa: E402
import sockets  # noqa: E402

LATE = 0.4  # Seconds after which the balancer acts on what /readyz said.


class RollingTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin = sockets.HeldOrigin()
        cls.addClassCleanup(cls.origin.close)
        cls.cluster.start_coordinator()
        cls.cluster.start_worker("worker-1", "--polite-exempt=127.0.0.1")

    def roll(self, drain_delay):
        """The callers, after a restart of each of two gateways."""
        gateways = []
        for i in range(2):
            gateway = self.cluster.start_gateway(f"--drain-delay={drain_delay}", name=f"gateway-{drain_delay}-{i}")
            self.addCleanup(gateway.kill)
            gateways.append((self.cluster.http_port, gateway))
        before = balancer.Balancer([(port, gateway.admin_port) for port, gateway in gateways], LATE)
        self.addCleanup(before.close)
        harness.until(lambda: len(before.view) == 2, "the balancer to know both")
        with callers.Callers(before.port, self.origin.url + "/quick") as calls:
            for port, gateway in gateways:
                self.assertEqual(gateway.terminate(), 0)
                harness.until(lambda port=port: port not in before.view, "the balancer to notice")
                gateway.start()
                gateway.wait_ready()
                harness.until(lambda: len(before.view) == 2, "the balancer to know both")
        self.assertGreater(calls.answered, 100)
        return calls

    def test_no_request_fails(self):
        self.assertEqual(self.roll("3s").failures, [])

    def test_without_the_delay_requests_fail(self):
        self.assertNotEqual(self.roll("0s").failures, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
