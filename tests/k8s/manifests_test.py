#!/usr/bin/python3
"""The manifests are valid Kubernetes, fit together and are safe; and each check finds the fault it is there for."""

import copy
import os
import pathlib
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manifests  # noqa: E402

# The real folder behind Bazel's symbolic links: kustomize follows none that lead out of its folder.
BASE = os.path.dirname(os.path.realpath(pathlib.Path("k8s/base/kustomization.yaml")))
OBJECTS = manifests.render(BASE)
FLAGS = {
    "imgfleet-coordinator": {"flags": [{"name": "listen"}, {"name": "admin-listen"}, {"name": "store"}, {"name": "spool-limit"},
                                       {"name": "parquet-memory"}]},
    "imgfleet-worker": {"flags": [{"name": "coordinator", "env": "IMGFLEET_COORDINATOR"}, {"name": "admin-listen"},
                                  {"name": "threads"}, {"name": "drain-timeout"}]},
    "imgfleet-gateway": {"flags": [{"name": "listen"}, {"name": "admin-listen"}, {"name": "allow-anonymous"},
                                   {"name": "coordinator"}, {"name": "drain-timeout"}]},
}


class ManifestsTest(unittest.TestCase):
    def test_the_base_has_no_problems(self):
        self.assertEqual(manifests.problems(OBJECTS), [])
        self.assertEqual(list(manifests.program_problems(OBJECTS, FLAGS)), [])

    def test_the_base_has_all_three_roles(self):
        self.assertEqual(sorted(map(manifests.name_of, OBJECTS)), [
            "Deployment/imgfleet-gateway", "Deployment/imgfleet-worker", "Service/imgfleet-coordinator",
            "Service/imgfleet-gateway", "StatefulSet/imgfleet-coordinator"])

    def test_scaling_is_not_taken_back(self):
        worker = next(each for each in OBJECTS if manifests.name_of(each) == "Deployment/imgfleet-worker")
        self.assertNotIn("replicas", worker["spec"])

    def found(self, change, name="Deployment/imgfleet-worker"):
        """What is said once `change` has spoiled one object (and its only container)."""
        objects = copy.deepcopy(OBJECTS)
        spoiled = next(each for each in objects if manifests.name_of(each) == name)
        pod = spoiled["spec"].get("template", {}).get("spec")
        change(spoiled, pod and pod["containers"][0])
        found = manifests.problems(objects) + list(manifests.program_problems(objects, FLAGS))
        self.assertNotEqual(found, [])
        return "\n".join(found)

    def test_schema(self):
        self.assertIn("imagePullPolice", self.found(lambda _, container: container.update(imagePullPolice="Never")))
        self.assertIn("replicas", self.found(lambda each, _: each["spec"].update(replicas="two")))

    def test_wiring(self):
        labels = {"app.kubernetes.io/component": "other"}
        self.assertIn("does not match its own pods",
                      self.found(lambda each, _: each["spec"]["template"]["metadata"]["labels"].update(labels)))
        self.assertIn("matches 0 workloads", self.found(lambda each, _: each["spec"]["selector"].update(labels),
                                                        "Service/imgfleet-gateway"))
        self.assertIn("no container port web", self.found(lambda each, _: each["spec"]["ports"][0].update(targetPort="web"),
                                                          "Service/imgfleet-gateway"))
        self.assertIn("no label", self.found(lambda each, _: each["metadata"].pop("labels")))
        self.assertIn("asks port 9999", self.found(lambda _, c: c["livenessProbe"]["httpGet"].update(port=9999)))
        self.assertIn("asks port 7071", self.found(lambda _, c: c["readinessProbe"]["grpc"].update(port=7071),
                                                   "StatefulSet/imgfleet-coordinator"))
        self.assertIn("probe is missing", self.found(lambda _, c: c.pop("livenessProbe")))

    def test_safety(self):
        self.assertIn("capabilities", self.found(lambda _, c: c["securityContext"].pop("capabilities")))
        self.assertIn("read-only", self.found(lambda _, c: c["securityContext"].update(readOnlyRootFilesystem=False)))
        self.assertIn("runAsNonRoot", self.found(lambda each, _: each["spec"]["template"]["spec"].pop("securityContext")))
        self.assertIn("memory limit", self.found(lambda _, c: c["resources"].pop("limits")))
        self.assertIn("before --drain-timeout", self.found(
            lambda each, _: each["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=20)))

    def test_programs(self):
        self.assertIn("no program imgfleet-wrker", self.found(lambda _, c: c.update(command=["imgfleet-wrker"])))
        self.assertIn("no flag --drain-time", self.found(lambda _, c: c["args"].append("--drain-time=1s")))
        self.assertIn("no variable IMGFLEET_NAME",
                      self.found(lambda _, c: c.update(env=[{"name": "IMGFLEET_NAME", "value": "a"}])))
        self.assertIn("declares ports [9093]", self.found(lambda _, c: c["ports"][0].update(containerPort=9093)))
        self.assertIn("names no Service", self.found(lambda _, c: c["args"].append("--coordinator=imgfleet-coordinator:7071")))
        self.assertIn("lies on no volume", self.found(lambda _, c: c["volumeMounts"].clear(), "StatefulSet/imgfleet-coordinator"))


if __name__ == "__main__":
    unittest.main()
