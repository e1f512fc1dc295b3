"""prod's network policies, enforced: pods that bear the labels of imgfleet's roles, and stand in prod's namespace with prod's policies, try
whatever there is to connect to."""

import json
import unittest

import kube
from laid import overlay

IMAGES = ["test-tools"]
NAMESPACE, OTHER = "imgfleet-policies", "imgfleet-policies-other"
PORTS = (5432, 7070, 8080, 9090, 9091, 9092)
NAMES = {7070: "grpc", 8080: "http"}  # By which Services find them.
ROLES = ("coordinator", "gateway", "worker")
API_SERVER, KUBELET, METADATA = ("10.99.0.1", 443), ("10.88.1.1", 10250), ("169.254.169.254", 80)

LISTEN = f"""
import select, socket
listening = [socket.create_server(("", port)) for port in {PORTS}]
while True:
    for each in select.select(listening, [], [])[0]:
        each.accept()[0].close()
"""
# Which of the targets, given as [[host, port], ...], can be connected to; all at once.
TRY = """
import concurrent.futures, json, socket, sys
def reached(target):
    try:
        socket.create_connection(target, 2).close()
        return True
    except OSError:
        return False
targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps(list(pool.map(reached, map(tuple, targets)))))
"""


def pod(name, labels):
    """Listens on every port that imgfleet has, and PostgreSQL's."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {
        "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "main", "image": kube.TOOLS_IMAGE, "imagePullPolicy": "Never", "command": ["python3", "-c", LISTEN],
            "ports": [{"containerPort": port, **({"name": NAMES[port]} if port in NAMES else {})} for port in PORTS],
            "readinessProbe": {"tcpSocket": {"port": PORTS[-1]}, "periodSeconds": 1},
            "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}}}]}}


def role_labels(role):
    return {"app.kubernetes.io/name": "imgfleet", "app.kubernetes.io/component": role}


class PoliciesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for namespace in (NAMESPACE, OTHER):
            kube.make_namespace(cls, namespace)
        wanted = [each for name, each in overlay("prod", NAMESPACE).items() if name.startswith("NetworkPolicy/")]
        services = [each for name, each in overlay("prod", NAMESPACE).items() if name.startswith("Service/imgfleet-")]
        kube.apply(*wanted, *services, *(pod(role, role_labels(role)) for role in ROLES), pod("neighbour", {"app": "neighbour"}),
                   namespace=NAMESPACE)
        kube.apply(pod("other", {"app": "other"}), namespace=OTHER)
        cls.addresses = {}
        for namespace in (NAMESPACE, OTHER):
            kube.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=120s", timeout=140)
            for each in kube.get("pods", "-n", namespace)["items"]:
                cls.addresses[each["metadata"]["name"]] = each["status"]["podIP"]

    def reached(self, source, targets):
        """{(name, port)} of the targets, given as {(name, port): (host, port)}, that `source` can connect to."""
        namespace = OTHER if source == "other" else NAMESPACE
        said = kube.kubectl("exec", "-n", namespace, source, "--", "python3", "-c", TRY, json.dumps(list(targets.values())))
        return {name for name, got in zip(targets, json.loads(said)) if got}

    def targets(self, source):
        pods = {(name, port): (address, port) for name, address in self.addresses.items() for port in PORTS if name != source}
        return {**pods, ("API server", 443): API_SERVER, ("kubelet", 10250): KUBELET, ("metadata", 80): METADATA,
                ("coordinator's Service", 7070): (f"imgfleet-coordinator.{NAMESPACE}.svc.cluster.local", 7070)}

    def test_each_role_reaches_what_it_needs_and_nothing_else(self):
        service = ("coordinator's Service", 7070)
        wanted = {
            "worker": {("coordinator", 7070), service},
            "gateway": {("coordinator", 7070), service},
            # The database may be anywhere, but where a policy lets nobody in.
            "coordinator": {("other", 5432)},
            "neighbour": set(),
            # Not ours to keep in. Only the gateway lets it in.
            "other": {("gateway", 8080), ("API server", 443), ("kubelet", 10250)},
        }
        for source, expected in wanted.items():
            with self.subTest(source):
                self.assertEqual(self.reached(source, self.targets(source)), expected)


if __name__ == "__main__":
    unittest.main()
