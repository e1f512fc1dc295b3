"""What network policies let through, as Kubernetes defines it: a pod that no policy of a direction chooses is open in that direction,
every other one lets through what one of its policies allows.

    network = policies.Network(objects)
    network.allows(network.pod("imgfleet-worker"), network.pod("imgfleet-coordinator"), 7070)
    network.public_blocks(network.pod("imgfleet-worker"))      blocks that it may reach on any TCP port
"""

import collections
import functools
import ipaddress

import manifests
from manifests import matches, of_kind, pods

# `namespace` and `labels` are None for what is no pod; then `address` counts.
Pod = collections.namedtuple("Pod", "name namespace labels address", defaults=(None,))


def normal(blocks):
    """The fewest blocks that hold the same addresses, IPv4 first."""
    blocks = list(blocks)
    return [block for version in (4, 6)
            for block in ipaddress.collapse_addresses(each for each in blocks if each.version == version)]


def without(block, excepted):
    """A block less others that lie in it."""
    left = [block]
    for each in excepted:
        if each.version != block.version or not each.subnet_of(block) or each == block:
            raise ValueError(f"except {each} is no part of {block}")
        if not any(each.subnet_of(part) for part in left):
            raise ValueError(f"except {each} stands in another of {block}")
        left = [part for whole in left for part in (whole.address_exclude(each) if each.subnet_of(whole) else [whole])]
    return left


def blocks_of(peer):
    """The addresses of a peer's ipBlock."""
    return _blocks(peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", []))


@functools.cache
def _blocks(block, *excepted):
    return normal(without(ipaddress.ip_network(block), list(map(ipaddress.ip_network, excepted))))


@functools.cache
def _within(address, block, *excepted):
    address = ipaddress.ip_address(address)
    return address in ipaddress.ip_network(block) and not any(address in ipaddress.ip_network(each) for each in excepted)


def within(address, peer):
    return _within(address, peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", []))


class Network:
    def __init__(self, objects):
        self.policies = of_kind(objects, "NetworkPolicy")
        self.home = of_kind(objects, "Namespace")[0]["metadata"]["name"]
        self.pods = [Pod(workload["metadata"]["name"], self.home, template["metadata"]["labels"]) for workload, template in pods(objects)]

    def pod(self, name):
        found, = (pod for pod in self.pods if pod.name == name)
        return found

    def policies_of(self, pod, direction):
        return [policy for policy in self.policies if pod.namespace == policy["metadata"]["namespace"]
                and matches(policy["spec"]["podSelector"], pod.labels) and direction in policy["spec"]["policyTypes"]]

    def is_peer(self, peer, other):
        if "ipBlock" in peer:
            return other.address is not None and within(other.address, peer)
        if other.labels is None:
            return False
        spaces = peer.get("namespaceSelector")
        near = (other.namespace == self.home if spaces is None
                else matches(spaces, {"kubernetes.io/metadata.name": other.namespace}))
        return near and matches(peer.get("podSelector", {}), other.labels)

    def lets(self, pod, direction, other, port, protocol):
        chosen = self.policies_of(pod, direction)
        key, peers = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}[direction]
        return not chosen or any(
            (not rule.get(peers) or any(self.is_peer(peer, other) for peer in rule[peers]))
            and (not rule.get("ports") or any(each.get("protocol", "TCP") == protocol and each.get("port", port) == port
                                              for each in rule["ports"]))
            for policy in chosen for rule in policy["spec"].get(key, []))

    def allows(self, source, target, port, protocol="TCP"):
        """Whether a connection is let out at its source and in at its target; pods of other namespaces are not ours to judge."""
        return ((source.namespace != self.home or self.lets(source, "Egress", target, port, protocol))
                and (target.namespace != self.home or self.lets(target, "Ingress", source, port, protocol)))

    def public_blocks(self, pod):
        """Addresses that a pod may reach at any port of TCP."""
        return normal(block for policy in self.policies_of(pod, "Egress") for rule in policy["spec"].get("egress", [])
                      if all("port" not in each and each.get("protocol", "TCP") == "TCP" for each in rule.get("ports", []))
                      for peer in rule.get("to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]) if "ipBlock" in peer
                      for block in blocks_of(peer))


def selector_problems(objects):
    """A policy that chooses nothing, or names a port that none of its pods has, is a mistake."""
    network = Network(objects)
    ports = {workload["metadata"]["name"]: {port["containerPort"] for container in template["spec"]["containers"]
                                            for port in container.get("ports", [])} for workload, template in pods(objects)}
    for policy in network.policies:
        selector = policy["spec"]["podSelector"]
        chosen = [pod.name for pod in network.pods if matches(selector, pod.labels)]
        if not chosen and selector.get("matchLabels", {}).get("app.kubernetes.io/name") == "imgfleet":
            yield f"{manifests.name_of(policy)}: it chooses no pod"
        component = policy["metadata"]["labels"]["app.kubernetes.io/component"]
        if component in ("coordinator", "gateway") and chosen != [f"imgfleet-{component}"]:
            yield f"{manifests.name_of(policy)}: it chooses {', '.join(chosen)}"
        for rule in policy["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                if not any(port["port"] in ports[name] for name in chosen):
                    yield f"{manifests.name_of(policy)}: port {port['port']} is none of {', '.join(chosen)}"
