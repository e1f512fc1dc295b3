#!/usr/bin/python3
"""The node that the other tests run on does what a cluster does: what they prove on it is worth something."""

import sys
import unittest

import kube

IMAGES = ["test-tools"]
RESTRICTED_POD = {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
# Tells the address of the pod that answered, too.
WHO = """
import http.server, socket
class Who(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(socket.gethostname().encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8000), Who).serve_forever()
"""


def pod_spec(command, **container):
    return {"securityContext": RESTRICTED_POD, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": kube.TOOLS_IMAGE, "imagePullPolicy": "Never", "command": command,
                            "securityContext": RESTRICTED, "resources": {"requests": {"cpu": "20m"}, "limits": {"memory": "128Mi"}},
                            **container}]}


def pod(name, command, labels=None, **container):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {"app": name}},
            "spec": {"restartPolicy": "Never", **pod_spec(command, **container)}}


def web(name, replicas, **container):
    """A Deployment whose pods say their names over HTTP, and its Service."""
    labels = {"app": name}
    probe = {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1}
    spec = pod_spec(["python3", "-c", WHO], readinessProbe=probe, ports=[{"name": "http", "containerPort": 8000}], **container)
    return ({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
             "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                      "template": {"metadata": {"labels": labels}, "spec": spec}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
             "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}})


class NodeTest(unittest.TestCase):
    def setUp(self):
        self.namespace = kube.make_namespace(self, "node-test")

    def kubectl(self, *arguments, **options):
        return kube.kubectl("-n", self.namespace, *arguments, **options)

    def ready(self, name, replicas):
        self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
        kube.eventually(lambda: len(kube.get("pods", "-n", self.namespace, "-l", f"app={name}")["items"]) == replicas)

    def get_from(self, pod_name, url, seconds=3):
        """What `url` answers to a pod. Throws Refused where nothing does."""
        return self.kubectl("exec", pod_name, "--", "curl", "-sSk", "--max-time", str(seconds), url)

    def test_restricted_pods_run_and_others_are_refused(self):
        kube.apply(pod("fit", ["sh", "-c", "id -u; touch /x 2>&1; grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status"]),
                   namespace=self.namespace)
        self.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/fit", "--timeout=120s")
        said = self.kubectl("logs", "fit").split()
        self.assertEqual(said[0], "65532")
        self.assertIn("Read-only", said)
        self.assertEqual([said[said.index(word) + 1] for word in ("CapEff:", "NoNewPrivs:", "Seccomp:")], ["0" * 16, "1", "2"])
        unfit = pod("unfit", ["true"])
        unfit["spec"]["containers"][0]["securityContext"] = {"privileged": True}
        with self.assertRaisesRegex(kube.Refused, 'violates PodSecurity "restricted:latest": privileged'):
            kube.apply(unfit, namespace=self.namespace)

    def test_scaling_and_a_service_that_spreads(self):
        kube.apply(*web("web", 2), pod("client", ["sleep", "600"]), namespace=self.namespace)
        self.ready("web", 2)
        self.kubectl("scale", "deployment/web", "--replicas=8")
        self.ready("web", 8)
        self.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
        host = f"http://web.{self.namespace}.svc.cluster.local"
        kube.eventually(lambda: len({self.get_from("client", host) for _ in range(16)}) > 3)
        self.kubectl("scale", "deployment/web", "--replicas=1")
        self.ready("web", 1)
        left = kube.eventually(lambda: {self.get_from("client", "http://web") for _ in range(8)})
        self.assertEqual(len(left), 1)
        with self.assertRaisesRegex(kube.Refused, "Could not resolve host"):
            self.get_from("client", "http://no-such-service")

    def test_a_claim_binds_to_a_volume_that_a_pod_can_write_and_finds_again(self):
        labels = {"app": "keeper"}
        spec = pod_spec(["sh", "-c", "cat /data/kept; date +%N >> /data/kept && sleep 600"],
                        volumeMounts=[{"name": "data", "mountPath": "/data"}])
        claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
        kube.apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "keeper"},
                    "spec": {"serviceName": "keeper", "selector": {"matchLabels": labels}, "volumeClaimTemplates": [claim],
                             "template": {"metadata": {"labels": labels}, "spec": spec}}}, namespace=self.namespace)
        first = kube.eventually(lambda: self.kubectl("exec", "keeper-0", "--", "cat", "/data/kept"))
        self.kubectl("delete", "pod", "keeper-0", "--grace-period=0", "--force")
        kube.eventually(lambda: self.kubectl("logs", "keeper-0") == first)

    def test_network_policies_are_enforced_and_lifted(self):
        kube.apply(*web("web", 1), *web("other", 1), pod("friend", ["sleep", "600"], {"role": "friend"}),
                   pod("stranger", ["sleep", "600"], {"role": "stranger"}), namespace=self.namespace)
        self.ready("web", 1)
        self.ready("other", 1)
        self.kubectl("wait", "--for=condition=Ready", "pod/friend", "pod/stranger", "--timeout=120s")
        for source in ("friend", "stranger"):
            kube.eventually(lambda: self.get_from(source, "http://web"))
        friends = {"podSelector": {"matchLabels": {"role": "friend"}}}
        kube.apply(
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
             "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
                      "ingress": [{"from": [friends], "ports": [{"port": "http"}]}]}},
            # Out of `friend` only to pods of this namespace and, for DNS, to the node.
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "friend"},
             "spec": {"podSelector": friends["podSelector"], "policyTypes": ["Egress"],
                      "egress": [{"to": [{"podSelector": {}}]}, {"ports": [{"port": 53, "protocol": "UDP"}]}]}},
            namespace=self.namespace)
        kube.eventually(lambda: self.refused("stranger", "http://web"))
        self.assertTrue(self.get_from("friend", "http://web"))
        self.assertTrue(self.get_from("stranger", "http://other"))
        # The API server's Service leads to the node: that is no pod, and not allowed to `friend` alone.
        self.assertIn("Forbidden", self.get_from("stranger", "https://kubernetes.default/x"))
        self.assertTrue(self.refused("friend", "https://kubernetes.default"))
        # A pod is under its policies from its first packet on, though nobody knew its address before.
        kube.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "late"},
                    "spec": {"podSelector": {"matchLabels": {"app": "late"}}, "policyTypes": ["Egress"]}}, namespace=self.namespace)
        kube.apply(pod("late", ["sh", "-c", "curl -sS --max-time 2 http://$OTHER_SERVICE_HOST && echo reached || echo kept in"]),
                   namespace=self.namespace)
        self.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/late", "--timeout=120s")
        self.assertIn("kept in", self.kubectl("logs", "late"))
        # Probes get through to pods that policies isolate.
        self.kubectl("scale", "deployment/web", "--replicas=2")
        self.ready("web", 2)
        self.kubectl("delete", "networkpolicies", "--all")
        kube.eventually(lambda: self.get_from("stranger", "http://web"))

    def refused(self, source, url):
        """Whether `url` answers nothing to a pod."""
        try:
            self.get_from(source, url, seconds=1)
        except kube.Refused:
            return True
        return False

    def test_an_autoscaler_sees_cpu_and_scales(self):
        burn = ["python3", "-c", "while True: pass"]
        labels = {"app": "busy"}
        spec = pod_spec(burn, resources={"requests": {"cpu": "20m"}, "limits": {"cpu": "100m", "memory": "64Mi"}})
        kube.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "busy"},
             "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}},
            {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "busy"},
             "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"}, "minReplicas": 1, "maxReplicas": 3,
                      "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
                                                                                               "averageUtilization": 50}}}]}},
            namespace=self.namespace)
        kube.eventually(lambda: kube.get("deployment", "busy", "-n", self.namespace)["spec"]["replicas"] == 3, seconds=120)
        self.assertRegex(self.kubectl("top", "pods"), r"busy-\S+ +[1-9]\d*m")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
