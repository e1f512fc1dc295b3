#!/usr/bin/python3
"""Network policies let each role do what it needs, and nothing else; the addresses that they keep workers off are those that workers
keep off themselves."""

import copy
import ipaddress
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manifests  # noqa: E402
import policies  # noqa: E402
from policies import Pod  # noqa: E402

ADDRESSES = os.path.abspath("tests/k8s/public_addresses")
OUTSIDE = [
    Pod("DNS", "kube-system", {"k8s-app": "kube-dns"}, "10.96.3.4"),
    Pod("another pod of kube-system", "kube-system", {"k8s-app": "metrics-server"}, "10.96.3.5"),
    Pod("a pod that calls itself DNS", "default", {"k8s-app": "kube-dns"}, "10.96.3.6"),
    Pod("DNS cache", None, None, "169.254.20.10"),
    Pod("Prometheus", "monitoring", {"app": "prometheus"}, "10.96.3.7"),
    Pod("anybody", "default", {}, "10.96.3.8"),
    Pod("a neighbour", "imgfleet", {"app": "other"}, "10.96.3.9"),
    Pod("API server", None, None, "10.96.0.1"),
    Pod("cloud metadata", None, None, "169.254.169.254"),
    Pod("cloud metadata, IPv6", None, None, "fd00:ec2::254"),
    Pod("Azure's wire server", None, None, "168.63.129.16"),
    Pod("private, IPv6", None, None, "fd12::1"),
    Pod("private within NAT64", None, None, "64:ff9b::a00:1"),
    Pod("the Internet", None, None, "93.184.216.34"),
    Pod("the Internet, IPv6", None, None, "2606:2800:220:1::1"),
]
PORTS = [(53, "UDP"), (53, "TCP"), (80, "TCP"), (443, "TCP"), (5432, "TCP"), (6443, "TCP"), (7070, "TCP"), (8080, "TCP"), (9090, "TCP"),
         (9091, "TCP"), (9092, "TCP")]
COORDINATOR, GATEWAY, WORKER = "imgfleet-coordinator", "imgfleet-gateway", "imgfleet-worker"
EVERY_TCP = [port for port, protocol in PORTS if protocol == "TCP"]


def matrix(network, pods, others):
    """{(from, to): [ports]} of all that gets through, where one of the two is imgfleet's."""
    found = {}
    for source in [*pods, *others]:
        for target in [*pods, *others]:
            if source is not target and (source in pods or target in pods):
                ports = [(port, protocol) for port, protocol in PORTS if network.allows(source, target, port, protocol)]
                if ports:
                    found[source.name, target.name] = [port if protocol == "TCP" else f"{port}/{protocol}" for port, protocol in ports]
    return found


def wanted(others):
    found = {(WORKER, COORDINATOR): [7070], (GATEWAY, COORDINATOR): [7070]}
    for role in (GATEWAY, COORDINATOR, WORKER):
        found["Prometheus", role] = [9090, 9091, 9092]
        for dns in ("DNS", "DNS cache"):
            found[role, dns] = ["53/UDP", 53]
    for role in (COORDINATOR, WORKER):
        for internet in ("the Internet", "the Internet, IPv6"):
            found[role, internet] = EVERY_TCP
    # The database may be anywhere.
    for other in others:
        found.setdefault((COORDINATOR, other.name), [5432])
    found[COORDINATOR, "DNS"] = found[COORDINATOR, "DNS cache"] = ["53/UDP", 53, 5432]
    # The gateway is open to all but those of its own namespace that may reach nothing.
    for other in others:
        if other.namespace != "imgfleet":
            found[other.name, GATEWAY] = [8080]
    found["Prometheus", GATEWAY] = [8080, 9090, 9091, 9092]
    # A neighbour in the namespace may reach nothing, and be reached by nobody.
    del found[COORDINATOR, "a neighbour"]
    return found


class PoliciesTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.prod = manifests.rendered()["prod"]
        printed = subprocess.run([ADDRESSES], check=True, capture_output=True, text=True).stdout.split()
        cls.public = policies.normal(map(ipaddress.ip_network, printed))

    def test_who_reaches_whom(self):
        for name in ("prod", "dev with network policies"):
            with self.subTest(name):
                network = policies.Network(manifests.rendered()[name])
                self.assertEqual(matrix(network, network.pods, OUTSIDE), wanted(OUTSIDE))

    def test_policies_choose_pods_and_ports_that_are_there(self):
        for name, objects in manifests.rendered().items():
            with self.subTest(name):
                self.assertEqual(list(policies.selector_problems(objects)), [])

    def test_the_addresses_are_those_of_the_workers_own_policy(self):
        self.assertGreater(len(self.public), 300)
        network = policies.Network(self.prod)
        for role in (WORKER, COORDINATOR):
            found = network.public_blocks(network.pod(role))
            self.assertEqual(sorted(map(str, set(found) ^ set(self.public))), [], role)
        self.assertEqual(network.public_blocks(network.pod(GATEWAY)), [])

    def test_in_the_tests_own_namespace_clients_reach_everything_and_workers_the_origin(self):
        network = policies.Network(manifests.rendered()["prod of the tests"])
        client = Pod("client", "imgfleet", {"app.kubernetes.io/name": "client"}, "10.88.0.9")
        worker, origin, database = (network.pod(name) for name in (WORKER, "origin", "postgresql"))
        for pod, port in ((network.pod(COORDINATOR), 7070), (network.pod(GATEWAY), 8080), (worker, 9092), (origin, 8000), (database, 5432)):
            self.assertTrue(network.allows(client, pod, port), pod.name)
        self.assertTrue(network.allows(worker, origin, 8000))
        self.assertFalse(network.allows(network.pod(GATEWAY), origin, 8000))
        self.assertTrue(network.allows(network.pod(COORDINATOR), database, 5432))
        self.assertFalse(network.allows(worker, database, 5432))
        self.assertTrue(network.allows(worker, Pod("DNS of the node", None, None, "10.88.1.1"), 53, "UDP"))
        self.assertFalse(network.allows(worker, Pod("kubelet", None, None, "10.88.1.1"), 10250))

    # --- Each check finds the fault that it is there for ------------------------------------------------------------------

    def spoiled(self, name, change):
        objects = copy.deepcopy(self.prod)
        change(manifests.named(objects, f"NetworkPolicy/{name}")["spec"])
        return objects

    def assert_seen(self, name, change):
        """Whoever reaches whom is another than it should be."""
        network = policies.Network(self.spoiled(name, change))
        self.assertNotEqual(matrix(network, network.pods, OUTSIDE), wanted(OUTSIDE), name)

    def test_faults_in_who_reaches_whom(self):
        self.assert_seen("imgfleet-default-deny", lambda spec: spec["policyTypes"].remove("Egress"))
        self.assert_seen("imgfleet-default-deny", lambda spec: spec["policyTypes"].remove("Ingress"))
        self.assert_seen("imgfleet-default-deny", lambda spec: spec.update(egress=[{}]))
        self.assert_seen("imgfleet-dns", lambda spec: spec["egress"][0]["to"][0].pop("namespaceSelector"))
        self.assert_seen("imgfleet-dns", lambda spec: spec["egress"][0]["to"][0].pop("podSelector"))
        self.assert_seen("imgfleet-dns", lambda spec: spec["egress"][0]["ports"].pop())
        self.assert_seen("imgfleet-coordinator", lambda spec: spec["ingress"][0].pop("from"))
        self.assert_seen("imgfleet-coordinator", lambda spec: spec["egress"][0].pop("ports"))
        self.assert_seen("imgfleet-gateway", lambda spec: spec["ingress"][0].pop("ports"))
        self.assert_seen("imgfleet-gateway", lambda spec: spec["podSelector"]["matchLabels"].pop("app.kubernetes.io/component"))
        self.assert_seen("imgfleet-to-coordinator", lambda spec: spec["egress"][0]["ports"][0].update(port=7071))
        self.assert_seen("imgfleet-monitoring", lambda spec: spec["ingress"][0]["from"][0].update(podSelector={"matchLabels": {"a": "b"}}))
        self.assert_seen("imgfleet-public-internet", lambda spec: spec["egress"][0]["to"][0]["ipBlock"]["except"].remove("168.63.129.16/32"))

    def test_faults_in_addresses(self):
        def blocks(change):
            network = policies.Network(self.spoiled("imgfleet-public-internet", lambda spec: change(spec["egress"][0]["to"])))
            return network.public_blocks(network.pod(WORKER))
        for excepted in manifests.named(self.prod, "NetworkPolicy/imgfleet-public-internet")["spec"]["egress"][0]["to"][0]["ipBlock"]["except"]:
            self.assertFalse(blocks(lambda to, each=excepted: to[0]["ipBlock"]["except"].remove(each)) == self.public, excepted)
        self.assertFalse(blocks(lambda to: to.append({"ipBlock": {"cidr": "fd00::/8"}})) == self.public)
        self.assertFalse(blocks(lambda to: to.pop()) == self.public)
        with self.assertRaisesRegex(ValueError, "no part of"):
            blocks(lambda to: to[0]["ipBlock"]["except"].append("fd00::/8"))

    def test_faults_in_selectors(self):
        def found(name, change):
            return "\n".join(policies.selector_problems(self.spoiled(name, change)))
        self.assertIn("chooses no pod", found("imgfleet-coordinator", lambda spec: spec["podSelector"]["matchLabels"].update(
            {"app.kubernetes.io/component": "coordinater"})))
        self.assertIn("it chooses imgfleet-worker", found("imgfleet-gateway", lambda spec: spec["podSelector"]["matchLabels"].update(
            {"app.kubernetes.io/component": "worker"})))
        self.assertIn("port 8081 is none", found("imgfleet-gateway", lambda spec: spec["ingress"][0]["ports"][0].update(port=8081)))


if __name__ == "__main__":
    unittest.main()
