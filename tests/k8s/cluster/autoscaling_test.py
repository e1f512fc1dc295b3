"""Who owns the number of workers: prod's autoscaler while it is there, `kubectl scale` once it is not."""

import time
import unittest

import kube
from laid import overlay

IMAGES = ["coordinator", "gateway", "worker"]
NAMESPACE = "imgfleet-autoscaling"
WORKER = "deployment/imgfleet-worker"
SYNC_SECONDS = 15  # How often the controller looks.


class AutoscalingTest(unittest.TestCase):
    """Workers that have nothing to do, which is all that the autoscaler needs for its least."""

    @classmethod
    def setUpClass(cls):
        kube.make_namespace(cls, NAMESPACE)
        objects = overlay("dev", NAMESPACE, "autoscaling")
        # A share of what the tests' workers request, which is next to nothing, would be a lot when they do nothing.
        worker, = objects["Deployment/imgfleet-worker"]["spec"]["template"]["spec"]["containers"]
        worker["resources"]["requests"]["cpu"] = "100m"
        kube.apply(*(each for name, each in objects.items() if "origin" not in name), namespace=NAMESPACE)

    def replicas(self):
        return kube.get(WORKER, "-n", NAMESPACE)["spec"]["replicas"]

    def scale(self, count):
        kube.kubectl("scale", "-n", NAMESPACE, WORKER, f"--replicas={count}")

    def condition(self, kind):
        scaler = kube.get("hpa", "imgfleet-worker", "-n", NAMESPACE)
        return {each["type"]: each["status"] for each in scaler["status"].get("conditions", [])}.get(kind)

    def test_the_autoscaler_decides_until_it_is_taken_away(self):
        kube.eventually(lambda: self.replicas() == 2, 90)  # Its minReplicas.
        self.scale(5)
        kube.eventually(lambda: self.condition("ScalingActive") == "True", 180)  # It sees their CPU use.
        kube.eventually(lambda: self.replicas() == 2, 8 * SYNC_SECONDS)
        kube.kubectl("delete", "-n", NAMESPACE, "hpa/imgfleet-worker")
        self.scale(4)
        end = time.monotonic() + 2 * SYNC_SECONDS
        while time.monotonic() < end:
            self.assertEqual(self.replicas(), 4)
            time.sleep(1)


if __name__ == "__main__":
    unittest.main()
