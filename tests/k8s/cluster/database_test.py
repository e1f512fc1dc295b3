"""Coordinators whose secret or database is not there say so where one looks, wait without a restart, and are not ready meanwhile; when it
comes, they are."""

import copy
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kube  # noqa: E402
from laid import TOP, overlay, words  # noqa: E402

IMAGES = ["coordinator", "gateway", "worker", "test-tools"]
NAMESPACE = "imgfleet-database"
# Longer than a coordinator waits before it tries again, and than readiness takes to notice.
STANDSTILL_SECONDS = 25


class DatabaseTest(unittest.TestCase):
    """Coordinators of prod, without their database at first."""

    @classmethod
    def setUpClass(cls):
        cls.namespace = kube.make_namespace(cls, NAMESPACE)
        cls.objects = overlay("prod", cls.namespace)
        cls.objects["Deployment/postgresql"]["spec"]["replicas"] = 0
        cls.objects["Deployment/imgfleet-worker"]["spec"]["replicas"] = 1
        cls.objects.pop("Deployment/origin")
        kube.apply(*cls.objects.values(), namespace=cls.namespace)
        cls.secrets = json.loads(subprocess.run([TOP / "tests/k8s/overlays/prod/make_secrets.py"], check=True, capture_output=True,
                                                text=True).stdout)["items"]

    def pods(self, component="coordinator"):
        return kube.get("pods", "-n", self.namespace, "-l", f"app.kubernetes.io/component={component}")["items"]

    def secret(self, **changes):
        """The secret as it should be, but for `changes`; None takes a key away."""
        secret, = (copy.deepcopy(each) for each in self.secrets if each["metadata"]["name"] == "imgfleet-postgresql")
        secret["stringData"].update(changes)
        secret["stringData"] = {name: value for name, value in secret["stringData"].items() if value is not None}
        return secret

    def replace(self, *secrets):
        kube.kubectl("delete", "secret", "-n", self.namespace, "--ignore-not-found", *(each["metadata"]["name"] for each in secrets))
        kube.apply(*secrets, namespace=self.namespace)

    def describe(self, *texts, seconds=90):
        def described():
            said = words(kube.kubectl("describe", "pod", "-n", self.namespace, "-l", "app.kubernetes.io/component=coordinator"))
            for text in texts:
                self.assertIn(text, said)
            return said
        return kube.eventually(described, seconds)

    def logs(self):
        """The log of each coordinator, a list of lines each."""
        return [kube.kubectl("logs", "-n", self.namespace, pod["metadata"]["name"]).splitlines() for pod in self.pods()]

    def assert_never_restarted(self):
        for component in ("coordinator", "gateway", "worker"):
            for pod in self.pods(component):
                self.assertEqual([each["restartCount"] for each in pod["status"]["containerStatuses"]], [0], pod["metadata"]["name"])

    def all_are(self, component, ready):
        """Whether there are pods, all of them running, and ready or not."""
        states = [status for pod in self.pods(component) for status in pod["status"].get("containerStatuses", [])]
        return bool(states) and all("running" in each["state"] and each["ready"] == ready for each in states)

    # In this order: what is missing is brought bit by bit.

    def test_1_a_missing_secret(self):
        self.describe("CreateContainerConfigError", 'secret "imgfleet-postgresql" not found')

    def test_2_a_missing_key(self):
        self.replace(self.secret(password=None))
        self.describe("couldn't find key password in Secret")

    def test_3_a_database_that_is_not_there_is_waited_for(self):
        self.replace(*[each for each in self.secrets if each["metadata"]["name"] != "imgfleet-postgresql"], self.secret())
        kube.eventually(lambda: self.all_are("coordinator", ready=False), 120)
        kube.eventually(lambda: all(any("waiting" in line for line in log) for log in self.logs()), 60)
        # Nothing changes for a while: no restart, no other line.
        before = self.logs()
        self.assertEqual(len(before), 3)
        for log in before:
            about, = (line for line in log if " info " not in line)
            self.assertRegex(about, "waiting for the store: .*postgresql://imgfleet@postgresql/postgres.* Connection refused")
            self.assertNotIn(self.secret()["stringData"]["password"], about)
        end = time.monotonic() + STANDSTILL_SECONDS
        while time.monotonic() < end:
            self.assertTrue(self.all_are("coordinator", ready=False))
            time.sleep(1)
        self.assertEqual(self.logs(), before)
        self.describe("Readiness probe failed")
        # Gateways and workers wait too, and say for what.
        self.assertTrue(self.all_are("gateway", ready=False))
        self.assertTrue(self.all_are("worker", ready=False))
        self.assert_never_restarted()

    def test_4_and_when_it_comes_all_are_ready(self):
        kube.kubectl("scale", "-n", self.namespace, "deployment/postgresql", "--replicas=1")
        kube.eventually(lambda: self.all_are("database", ready=True), 120)
        for component in ("coordinator", "gateway", "worker"):
            kube.eventually(lambda each=component: self.all_are(each, ready=True), 90)
        self.assert_never_restarted()

    def test_5_it_goes_away_and_comes_back(self):
        kube.kubectl("scale", "-n", self.namespace, "deployment/postgresql", "--replicas=0")
        kube.eventually(lambda: self.all_are("coordinator", ready=False), 120)
        kube.kubectl("scale", "-n", self.namespace, "deployment/postgresql", "--replicas=1")
        kube.eventually(lambda: self.all_are("coordinator", ready=True), 120)
        self.assert_never_restarted()

    def test_6_what_waiting_cannot_mend_ends_with_its_reason(self):
        self.replace(self.secret(store="mysql://imgfleet@postgresql/imgfleet"))
        kube.kubectl("delete", "pod", "-n", self.namespace, "-l", "app.kubernetes.io/component=coordinator", "--grace-period=1")
        self.describe("Exit Code: 3", "mysql://")


if __name__ == "__main__":
    unittest.main()
