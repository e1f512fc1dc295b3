#!/usr/bin/python3
"""Every overlay, with each component over one, is valid Kubernetes, fits together, is safe, and holds what it should."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manifests  # noqa: E402
import safety  # noqa: E402
import wiring  # noqa: E402

ROLES = [f"{kind}/imgfleet-{role}" for kind in ("Service", "ServiceAccount") for role in ("coordinator", "gateway")] + [
    "Deployment/imgfleet-gateway", "Deployment/imgfleet-worker", "ServiceAccount/imgfleet-worker", "Namespace/imgfleet"]
POLICIES = [f"NetworkPolicy/imgfleet-{name}" for name in (
    "coordinator", "default-deny", "dns", "gateway", "monitoring", "public-internet", "to-coordinator")]
SCALER = "HorizontalPodAutoscaler/imgfleet-worker"
DEV = [*ROLES, "StatefulSet/imgfleet-coordinator"]
PROD = [*ROLES, *POLICIES, SCALER, "Deployment/imgfleet-coordinator", "PriorityClass/imgfleet-serving", "PriorityClass/imgfleet-fetching",
        *(f"PodDisruptionBudget/imgfleet-{role}" for role in ("coordinator", "gateway", "worker"))]
HELD = {"dev": DEV, "prod": PROD, "dev with network policies": DEV + POLICIES, "dev with autoscaling": [*DEV, SCALER],
        "prod with an ingress": [*PROD, "Ingress/imgfleet-gateway"], "prod by backlog": PROD,
        "dev with credentials": DEV, "prod with credentials": PROD,
        "prod by hand": [name for name in PROD if name != SCALER]}


class ManifestsTest(unittest.TestCase):
    def test_no_problems(self):
        for name, objects in manifests.rendered().items():
            for check in (manifests.schema_problems, wiring.problems, safety.problems):
                with self.subTest(name, check=check.__name__):
                    self.assertEqual(list(check(objects)), [])

    def test_everything_that_can_be_applied_is_rendered(self):
        folders = {str(path.parent.relative_to(manifests.TOP)) for path in manifests.TOP.glob("k8s/*/*/kustomization.yaml")}
        rendered = {part if "/" in part else f"k8s/components/{part}" for parts in manifests.RENDERED.values() for part in parts}
        self.assertLessEqual(folders, rendered | {"k8s/components/autoscaling", "k8s/components/network-policies"})

    def test_each_holds_what_it_should(self):
        for name, held in HELD.items():
            with self.subTest(name):
                self.assertEqual(sorted(map(manifests.name_of, manifests.rendered()[name])), sorted(held))

    def test_the_secret_is_the_one_that_prod_says_to_make(self):
        text = (manifests.TOP / "k8s/overlays/prod/kustomization.yaml").read_text(encoding="utf-8")
        self.assertEqual(wiring.secrets_told(text), {"imgfleet-postgresql": {"store", "password", "ca.crt"}})
        self.assertEqual(wiring.secrets_used(manifests.rendered()["prod"]), wiring.secrets_told(text))
        self.assertEqual(wiring.secrets_used(manifests.rendered()["dev"]), {})

    def test_what_autoscaling_goes_by(self):
        def metrics(name):
            return [metric["type"] for metric in manifests.named(manifests.rendered()[name], SCALER)["spec"]["metrics"]]
        self.assertEqual(metrics("prod"), ["Resource"])
        self.assertEqual(metrics("prod by backlog"), ["Resource", "External"])

    def test_one_of_each_in_dev_and_more_in_prod(self):
        def replicas(name):
            return {each["metadata"]["name"]: each["spec"].get("replicas") for each, _ in manifests.pods(manifests.rendered()[name])}
        self.assertEqual(replicas("dev"), {"imgfleet-coordinator": 1, "imgfleet-gateway": 1, "imgfleet-worker": None})
        self.assertEqual(replicas("prod"), {"imgfleet-coordinator": 3, "imgfleet-gateway": 2, "imgfleet-worker": None})


if __name__ == "__main__":
    unittest.main()
