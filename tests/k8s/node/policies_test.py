#!/usr/bin/python3
"""The rules that come of NetworkPolicies allow what the API's documentation says they allow, and nothing else."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import policies  # noqa: E402

NAMESPACES = {"shop": {"kubernetes.io/metadata.name": "shop"}, "bank": {"kubernetes.io/metadata.name": "bank", "team": "money"}}


def pod(number, namespace="shop", ports=(), phase="Running", **labels):
    return {"metadata": {"name": f"pod{number}", "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "main", "ports": [{"name": name, "containerPort": port} for name, port in ports]}]},
            "status": {"phase": phase, "podIP": f"10.88.0.{number}"}}


def policy(namespace="shop", selector=None, **spec):
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"podSelector": selector or {}, **spec}}


PODS = [pod(2, app="web", ports=[("http", 8000)]), pod(3, app="client"), pod(4, "bank", app="client")]


def chain(text, name):
    """The conditions of one chain of the rules, or None where there is no such chain."""
    lines = [line.strip() for line in text.splitlines()]
    if f"chain {name} {{" not in lines:
        return None
    start = lines.index(f"chain {name} {{")
    return lines[start + 1:lines.index("}", start)]


class PoliciesTest(unittest.TestCase):
    def rules(self, *given, pods=PODS):
        return policies.ruleset(list(given), pods, NAMESPACES)

    def test_without_policies_there_are_no_rules(self):
        self.assertNotIn("drop", self.rules())

    def test_a_policy_isolates_only_what_it_selects_in_its_own_namespace(self):
        text = self.rules(policy(selector={"matchLabels": {"app": "client"}}, policyTypes=["Egress"]))
        self.assertEqual(chain(text, "egress-10.88.0.3"), ["drop"])
        for other in ("egress-10.88.0.2", "egress-10.88.0.4", "ingress-10.88.0.3"):
            self.assertIsNone(chain(text, other))

    def test_an_unknown_address_of_a_pod_is_dropped_where_there_are_policies(self):
        judge = chain(self.rules(policy(), pods=[*PODS, pod(5, phase="Succeeded")]), "judge")
        self.assertIn("ip saddr 10.88.0.0/24 ip saddr != { 10.88.0.1, 10.88.0.2, 10.88.0.3, 10.88.0.4 } drop", judge)

    def test_peers(self):
        text = self.rules(policy(
            selector={"matchLabels": {"app": "web"}},
            ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "http"}]},
                     {"from": [{"namespaceSelector": {"matchLabels": {"team": "money"}}, "podSelector": {}}],
                      "ports": [{"port": 1, "endPort": 9, "protocol": "UDP"}]}]))
        self.assertEqual(chain(text, "ingress-10.88.0.2"),
                         ["ip saddr 10.88.0.3 tcp dport { 8000 } return", "ip saddr 10.88.0.4 udp dport 1-9 return", "drop"])

    def test_blocks_with_exceptions(self):
        text = self.rules(policy(policyTypes=["Egress"], egress=[
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "127.0.0.0/8"]}}, {"ipBlock": {"cidr": "2000::/3"}}],
             "ports": [{"protocol": "TCP"}]}]))
        self.assertEqual(chain(text, "egress-10.88.0.2"),
                         ["ip daddr 0.0.0.0/0 ip daddr != { 10.0.0.0/8, 127.0.0.0/8 } meta l4proto tcp return", "drop"])

    def test_an_empty_rule_allows_all_and_no_rule_nothing(self):
        text = self.rules(policy(ingress=[{}]), policy(egress=[], policyTypes=["Egress"]))
        self.assertEqual(chain(text, "ingress-10.88.0.2"), ["return", "drop"])
        self.assertEqual(chain(text, "egress-10.88.0.2"), ["drop"])

    def test_a_named_port_that_nobody_has_allows_nothing(self):
        text = self.rules(policy(selector={"matchLabels": {"app": "client"}}, ingress=[{"ports": [{"port": "http"}]}]))
        self.assertEqual(chain(text, "ingress-10.88.0.3"), ["drop"])

    def test_what_one_policy_allows_no_other_takes_away(self):
        text = self.rules(policy(policyTypes=["Ingress"]), policy(ingress=[{"ports": [{"port": 7}]}]))
        self.assertEqual(chain(text, "ingress-10.88.0.2"), ["tcp dport 7 return", "drop"])

    def test_selectors(self):
        for operator, values, labels, selected in [
                ("In", ["a", "b"], {"k": "b"}, True), ("In", ["a"], {}, False), ("NotIn", ["a"], {}, True),
                ("NotIn", ["a"], {"k": "a"}, False), ("Exists", None, {"k": ""}, True), ("DoesNotExist", None, {"k": ""}, False)]:
            selector = {"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}
            self.assertEqual(policies.selects(selector, labels), selected, selector)


if __name__ == "__main__":
    unittest.main()
