"""A pod that may not run, or cannot, says why where one looks: `kubectl describe` of the object that has it. A program that is told
nonsense says so in one line, which Kubernetes shows."""

import copy
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kube  # noqa: E402
from laid import overlay, words  # noqa: E402

IMAGES = ["worker"]
NAMESPACE = "imgfleet-refused"


def container(workload):
    return workload["spec"]["template"]["spec"]["containers"][0]


class RefusedTest(unittest.TestCase):
    """One worker of dev, spoiled in one way."""

    @classmethod
    def setUpClass(cls):
        kube.make_namespace(cls, NAMESPACE)
        cls.objects = overlay("dev", NAMESPACE)
        kube.apply(cls.objects["ServiceAccount/imgfleet-worker"], namespace=NAMESPACE)

    def worker(self, spoil):
        """Applied; what `kubectl apply` says of it is kept."""
        worker = copy.deepcopy(self.objects["Deployment/imgfleet-worker"])
        spoil(worker)
        self.addCleanup(kube.kubectl, "delete", "-n", NAMESPACE, "deployment/imgfleet-worker", "--cascade=foreground", "--timeout=60s")
        done = subprocess.run([*kube.KUBECTL, "apply", "-n", NAMESPACE, "-f", "-"], input=json.dumps(worker), text=True,
                              capture_output=True, check=True)
        return done.stderr

    def describes(self, kind, *texts):
        """Waits until all of the texts stand in what `kubectl describe` says of the worker's object of this kind."""
        def described():
            said = words(kube.kubectl("describe", kind, "-n", NAMESPACE, "-l", "app.kubernetes.io/component=worker"))
            for text in texts:
                self.assertIn(text, said)
            return said
        return kube.eventually(described)

    def test_restricted_refuses_a_pod_that_may_more(self):
        warned = self.worker(lambda worker: container(worker)["securityContext"].update(allowPrivilegeEscalation=True, capabilities={}))
        self.assertIn('would violate PodSecurity "restricted', warned)
        said = self.describes("replicaset", "FailedCreate", 'violates PodSecurity "restricted', "allowPrivilegeEscalation != false",
                              "unrestricted capabilities")
        self.assertIn("0 current / 1 desired", said)
        self.describes("deployment", "ReplicaFailure", "FailedCreate")

    def test_an_image_that_is_not_there(self):
        self.worker(lambda worker: container(worker).update(image="localhost/imgfleet-worker:9.9.9"))
        self.describes("pod", 'Failed to pull image "localhost/imgfleet-worker:9.9.9"', "ErrImagePull")

    def test_a_wrong_flag(self):
        self.worker(lambda worker: container(worker)["args"].append("--concurency=200"))
        said = self.describes("pod", "Reason: Error", "Exit Code: 2", "--concurency")
        message, = (line.removeprefix("Message: ") for line in said.splitlines() if line.startswith("Message: "))
        self.assertRegex(message, "^imgfleet-worker: .*--concurency")
        logged = kube.eventually(lambda: kube.kubectl("logs", "-n", NAMESPACE, "deployment/imgfleet-worker")).splitlines()
        self.assertEqual(logged, [message])

    def test_a_flag_without_sense(self):
        self.worker(lambda worker: container(worker)["args"].append("--allow-address=10.1.2.3/8"))
        self.describes("pod", "Reason: Error", "Exit Code: 2", "--allow-address")


if __name__ == "__main__":
    unittest.main()
