"""The stage of a play: one of the tests' overlays in a namespace of its own, a slow origin under the list's host name, and a pod to be a
client in.

    stage = Stage("dev", "imgfleet-scale", host="images.reference.example")
    stage.build()
    stage.scale(8)
    stage.ask("GET", "/api/v1/jobs/ID")          from the client's pod, through the gateway's Service
    stage.talk("ask.py", ...)                    a program of in_pod/ that goes on there
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import kube

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TOP / "tests/origin"), str(TOP / "tests/cluster")]
import harness  # noqa: E402
import origin as origins  # noqa: E402

GATEWAY = "http://imgfleet-gateway:8080"
COORDINATOR = "imgfleet-coordinator:7070"
# Items that a worker has in flight: with the origin's latency (stage/origin.yaml) it is what makes its rate, on any machine.
CONCURRENCY = 4


class Stage:
    def __init__(self, overlay, namespace, host, concurrency=CONCURRENCY):
        self.overlay, self.namespace, self.host = overlay, namespace, host
        self.concurrency = concurrency
        self.small = f"http://origin.{namespace}.svc.cluster.local/small"  # Below it the origin answers at once.

    # --- Building it --------------------------------------------------------------------------------------------------------

    def build(self):
        """In a namespace that exists and is empty, but for secrets."""
        self._publish_certificates()
        address = self._origin_address()
        with tempfile.TemporaryDirectory(prefix="stage.", dir="/tmp") as folder:
            path = pathlib.Path(folder, "kustomization.yaml")
            path.write_text(json.dumps(self._kustomization(folder, address)), "utf-8")
            self.kubectl("apply", "-k", folder)
        self.wait()

    def _publish_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            origins.make_certificates(folder, [self.host])
            files = {name: pathlib.Path(folder, name).read_text("ascii") for name in ("ca.pem", "server.pem", "server.key")}
        kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "origin"}, "stringData": files},
                   namespace=self.namespace)

    def _origin_address(self):
        """That of a Service for the list's host, which DNS does not know."""
        port = {"name": "https", "port": 443, "targetPort": "https"}
        kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "origin-tls"},
                    "spec": {"selector": {"app.kubernetes.io/name": "origin"}, "ports": [port]}}, namespace=self.namespace)
        return self.get("service", "origin-tls")["spec"]["clusterIP"]

    def _kustomization(self, folder, address):
        def here(path):
            return os.path.relpath(TOP / "tests/k8s" / path, folder)

        components = [here("cluster/stage")] + [here("cluster/stage/policies")] * (self.overlay == "prod")
        return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": self.namespace,
                "resources": [here(f"overlays/{self.overlay}")], "components": components,
                "patches": [{"patch": json.dumps(self._worker(address))}]}

    def _worker(self, address):
        """Finds the list's host, trusts it, and asks it and the small requests' host for as much as it can."""
        settings = {"IMGFLEET_MAP_HOST": f"{self.host}={address}", "IMGFLEET_CA_FILE": "/etc/origin/ca.pem",
                    "IMGFLEET_POLITE_EXEMPT": f"{self.host},{self.small.split('/')[2]}",
                    "IMGFLEET_CONCURRENCY": str(self.concurrency)}
        container = {"name": "worker", "env": [{"name": name, "value": value} for name, value in settings.items()],
                     "volumeMounts": [{"name": "origin", "mountPath": "/etc/origin", "readOnly": True}]}
        volume = {"name": "origin", "secret": {"secretName": "origin", "items": [{"key": "ca.pem", "path": "ca.pem"}]}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "imgfleet-worker"},
                "spec": {"template": {"spec": {"containers": [container], "volumes": [volume]}}}}

    # --- Moving it ----------------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments, **options):
        return kube.kubectl("--namespace", self.namespace, *arguments, **options)

    def get(self, kind, *arguments):
        return kube.get(kind, "--namespace", self.namespace, *arguments)

    def kind_of(self, role):
        return "statefulset" if role == "coordinator" and self.overlay == "dev" else "deployment"

    def scale(self, workers):
        self.kubectl("scale", "deployment/imgfleet-worker", f"--replicas={workers}")

    def restart(self, role):
        self.kubectl("rollout", "restart", f"{self.kind_of(role)}/imgfleet-{role}")

    def wait(self, *roles):
        """Until all that was asked for is there and ready, and all else is gone."""
        for role in roles or ("coordinator", "gateway", "worker"):
            self.kubectl("rollout", "status", f"{self.kind_of(role)}/imgfleet-{role}", "--timeout=180s", timeout=200)
            harness.until(lambda role=role: not self._leaving(role), f"pods of {role} to be gone", 180)
        if not roles:
            self.kubectl("rollout", "status", "deployment/origin", "--timeout=180s", timeout=200)
            self.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=180s", timeout=200)

    def pods(self, role):
        """Those that are to stay."""
        return [pod for pod in self._all_pods(role) if "deletionTimestamp" not in pod["metadata"]]

    def _leaving(self, role):
        return [pod for pod in self._all_pods(role) if "deletionTimestamp" in pod["metadata"]]

    def _all_pods(self, role):
        return self.get("pods", "-l", f"app.kubernetes.io/component={role}")["items"]

    def delete(self, *pods):
        """With no grace: the API forgets them at once, and the kubelet gives them two seconds."""
        self.kubectl("delete", "pod", *(pod["metadata"]["name"] for pod in pods), "--grace-period=0", "--force", "--wait=false")

    @staticmethod
    def kill_container(pod):
        """SIGKILL to the program from outside; the kubelet starts it again in the same pod."""
        container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        kube.run([*kube.NODE, "ctr", "tasks", "kill", "--signal", "SIGKILL", container])

    # --- Being its client ---------------------------------------------------------------------------------------------------

    def ask(self, method, path, body=None):
        """What the gateway answers. Throws kube.Refused where that is an error, or nothing."""
        return self._curl(GATEWAY + path, "--request", method, *(["--data-binary", "@-"] if body else []), stdin=body)

    def origin_log(self):
        """path -> every answer given for it, in order."""
        log = {}
        for row in map(json.loads, self._curl("http://origin/_origin/log").splitlines()):
            log.setdefault(row["path"], []).append(row)
        return log

    def _curl(self, url, *arguments, stdin=None):
        return self.kubectl("exec", "-i", "client", "--", "curl", "-sS", "--fail-with-body", "-H", "Content-Type: application/json",
                            *arguments, url, stdin=stdin)

    def talk(self, program, *arguments):
        """A program of in_pod/ in the client's pod: its process, with pipes."""
        return subprocess.Popen([*kube.KUBECTL, "--namespace", self.namespace, "exec", "-i", "client", "--",
                                 f"tests/k8s/cluster/in_pod/{program}", *arguments],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def watch_pods(self):
        """A line of JSON for each change of a pod, beginning with those that are there."""
        return subprocess.Popen([*kube.KUBECTL, "get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods?watch=1"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
