"""NetworkPolicies as rules of nftables, made anew from what the API server knows now.

Packets from and to pods pass `judge` when they are forwarded (after a Service's address has become a pod's) and when they are
for the node itself, which is where DNS and the API server are. The node's own packets, probes that is, pass freely. A pod
that some policy selects has a chain for that direction: it returns what a rule of any of its policies allows, and drops the
rest. As long as there are policies at all, a pod whose address is not known yet can reach nothing and is not reached: so no
pod ever acts before its policies do. Only IPv4, as everything on this node.
"""

import ipaddress

import config

# The bridge's own address, the gateway of the pods.
GATEWAY = str(next(ipaddress.ip_network(config.POD_RANGE).hosts()))


def selects(selector, labels):
    """Whether a LabelSelector selects an object with these labels."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], expression.get("values") or []
        holds = {"In": labels.get(key) in values, "NotIn": labels.get(key) not in values,
                 "Exists": key in labels, "DoesNotExist": key not in labels}[expression["operator"]]
        if not holds:
            return False
    return True


class Pod:
    """Of a pod object: what policies ask. `address` is None where none of the rules can be about it."""

    def __init__(self, pod):
        self.namespace = pod["metadata"]["namespace"]
        self.labels = pod["metadata"].get("labels") or {}
        # The addresses of pods that have ended are given to others.
        gone = pod["spec"].get("hostNetwork") or pod["status"].get("phase") in ("Succeeded", "Failed")
        self.address = None if gone else pod["status"].get("podIP")
        self.ports = {(port["name"], port.get("protocol", "TCP")): port["containerPort"]
                      for container in pod["spec"]["containers"] for port in container.get("ports") or [] if port.get("name")}


def peer_matches(peer, direction, policy_namespace, pods, namespaces):
    """(condition on the other end's address, the pods it stands for or None) for each way to be this peer."""
    side = {"ingress": "ip saddr", "egress": "ip daddr"}[direction]
    if block := peer.get("ipBlock"):
        if ":" in block["cidr"]:
            return []
        excepted = f" {side} != {{ {', '.join(block['except'])} }}" if block.get("except") else ""
        return [(f"{side} {block['cidr']}{excepted}", None)]
    wanted_spaces = {policy_namespace} if peer.get("namespaceSelector") is None else \
        {name for name, labels in namespaces.items() if selects(peer["namespaceSelector"], labels)}
    found = [pod for pod in pods if pod.namespace in wanted_spaces and selects(peer.get("podSelector") or {}, pod.labels)]
    return [(f"{side} {pod.address}", [pod]) for pod in found]


def port_match(port, receivers):
    """The condition on the port; None where no receiver has a port of that name."""
    protocol, wanted = port.get("protocol", "TCP"), port.get("port")
    if wanted is None:
        return f"meta l4proto {protocol.lower()}"
    if isinstance(wanted, str):
        numbers = {pod.ports[wanted, protocol] for pod in receivers or [] if (wanted, protocol) in pod.ports}
        return f"{protocol.lower()} dport {{ {', '.join(map(str, sorted(numbers)))} }}" if numbers else None
    end = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{protocol.lower()} dport {wanted}{end}"


def allowed(rule, direction, policy_namespace, pod, pods, namespaces):
    """The conditions under which one rule of a policy lets a packet from or to `pod` pass."""
    peers = rule.get({"ingress": "from", "egress": "to"}[direction])
    matches = [match for peer in peers for match in peer_matches(peer, direction, policy_namespace, pods, namespaces)] \
        if peers else [("", None)]
    for condition, others in matches:
        if not rule.get("ports"):
            yield condition
        receivers = [pod] if direction == "ingress" else others if others is not None else None if peers else pods
        for port in rule.get("ports") or []:
            match = port_match(port, receivers)
            if match is not None:
                yield f"{condition} {match}".strip()


def directions(policy):
    """As the API server fills it in where a policy does not say."""
    spec = policy["spec"]
    return [kind.lower() for kind in spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])]


def chains(policies, pods, namespaces):
    """{(direction, address): conditions under which its packets pass} of every pod that a policy selects."""
    result = {}
    for pod in pods:
        for policy in policies:
            namespace = policy["metadata"]["namespace"]
            if namespace == pod.namespace and selects(policy["spec"]["podSelector"], pod.labels):
                for direction in directions(policy):
                    conditions = result.setdefault((direction, pod.address), [])
                    for rule in policy["spec"].get(direction) or []:
                        conditions.extend(allowed(rule, direction, namespace, pod, pods, namespaces))
    return result


def ruleset(policies, pods, namespaces):
    """Input for `nft -f`, which takes the place of what was there before in one step.

    policies, pods: lists of objects as the API has them; namespaces: labels by name.
    """
    text = ["table inet policies", "delete table inet policies"]
    if not policies:
        return "\n".join(text) + "\n"
    pods = sorted((pod for pod in map(Pod, pods) if pod.address), key=lambda pod: pod.address)
    found = chains(policies, pods, namespaces)
    text.append("table inet policies {")
    for (direction, address), conditions in sorted(found.items()):
        returns = ["    " + f"{condition} return".strip() for condition in dict.fromkeys(conditions)]
        text += [f"  chain {direction}-{address} {{", *returns, "    drop", "  }"]
    known = ", ".join([GATEWAY, *(pod.address for pod in pods)])
    text += ["  chain judge {", "    ct state established,related accept",
             f"    ip saddr {config.POD_RANGE} ip saddr != {{ {known} }} drop",
             f"    ip daddr {config.POD_RANGE} ip daddr != {{ {known} }} drop"]
    for direction, side in (("egress", "ip saddr"), ("ingress", "ip daddr")):
        jumps = [f"{address} : jump {direction}-{address}" for way, address in sorted(found) if way == direction]
        if jumps:
            text.append(f"    {side} vmap {{ {', '.join(jumps)} }}")
    text.append("  }")
    for hook in ("forward", "input"):
        text.append(f"  chain {hook} {{ type filter hook {hook} priority filter; policy accept; jump judge; }}")
    return "\n".join([*text, "}"]) + "\n"
