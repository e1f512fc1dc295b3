#!/usr/bin/python3
"""Each check of the manifests finds the fault that it is there for: one object of prod or dev is spoiled, and it must say so."""

import copy
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manifests  # noqa: E402
import safety  # noqa: E402
import wiring  # noqa: E402

WORKER, GATEWAY, COORDINATOR = (f"Deployment/imgfleet-{role}" for role in ("worker", "gateway", "coordinator"))
OTHER = {"app.kubernetes.io/component": "other"}


def problems(objects):
    return "\n".join([*wiring.problems(objects), *safety.problems(objects)])


class FaultsTest(unittest.TestCase):
    def found(self, name, change, overlay="prod with an ingress"):
        """What is said once `change` has spoiled the object of that name."""
        objects = copy.deepcopy(manifests.rendered()[overlay])
        change(manifests.named(objects, name))
        return problems(objects)

    def pod(self, change, name=WORKER):
        return self.found(name, lambda each: change(each["spec"]["template"]["spec"]))

    def container(self, change, name=WORKER):
        return self.pod(lambda pod: change(pod["containers"][0]), name)

    def test_schema(self):
        def found(name, change):
            spoiled = copy.deepcopy(manifests.named(manifests.rendered()["prod"], name))
            change(spoiled["spec"])
            return "\n".join(manifests.schema_problems([spoiled]))
        self.assertIn("imagePullPolice", found(WORKER, lambda spec: spec["template"]["spec"]["containers"][0].update(imagePullPolice="Never")))
        self.assertIn("replicas", found(GATEWAY, lambda spec: spec.update(replicas="two")))
        self.assertIn("maxReplicaz", found("HorizontalPodAutoscaler/imgfleet-worker", lambda spec: spec.update(maxReplicaz=1)))
        self.assertIn("policyTypez", found("NetworkPolicy/imgfleet-dns", lambda spec: spec.update(policyTypez=[])))

    def test_labels(self):
        self.assertIn("no label app.kubernetes.io/component", self.found(WORKER, lambda each: each["metadata"].pop("labels")))
        self.assertIn("no label app.kubernetes.io/name", self.found("Namespace/imgfleet", lambda each: each["metadata"].pop("labels")))
        self.assertIn("no label version", self.found(
            WORKER, lambda each: each["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/version")))
        self.assertIn("a selector cannot be changed", self.found(
            WORKER, lambda each: each["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/version": "0.1.0"})))
        self.assertIn("a claim cannot be changed", self.found(
            "StatefulSet/imgfleet-coordinator", lambda each: each["spec"]["volumeClaimTemplates"][0]["metadata"].update(
                labels={"app.kubernetes.io/version": "0.1.0"}), "dev"))

    def test_selectors(self):
        self.assertIn("does not match its own pods", self.found(
            WORKER, lambda each: each["spec"]["template"]["metadata"]["labels"].update(OTHER)))
        self.assertIn("also matches the pods of", self.found(
            WORKER, lambda each: each["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/component")))
        for kind in ("Service", "PodDisruptionBudget"):
            def spoil(each, labels):
                selector = each["spec"]["selector"]
                selector.get("matchLabels", selector).update(labels)
            self.assertIn("matches 0 workloads", self.found(f"{kind}/imgfleet-gateway", lambda each: spoil(each, OTHER)))
            self.assertIn("matches 1 workloads: imgfleet-worker", self.found(
                f"{kind}/imgfleet-gateway", lambda each: spoil(each, {"app.kubernetes.io/component": "worker"})))
        self.assertIn("other pods than its own", self.pod(
            lambda pod: pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(OTHER)))
        self.assertIn("which is not there", self.found(
            "HorizontalPodAutoscaler/imgfleet-worker", lambda each: each["spec"]["scaleTargetRef"].update(name="worker")))

    def test_ports(self):
        self.assertIn("no container port web", self.found(
            "Service/imgfleet-gateway", lambda each: each["spec"]["ports"][0].update(targetPort="web")))
        self.assertIn("no Service imgfleet-gateway with a port web", self.found(
            "Ingress/imgfleet-gateway",
            lambda each: each["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"].update(name="web")))
        self.assertIn("has no TLS", self.found("Ingress/imgfleet-gateway", lambda each: each["spec"]["rules"][0].update(host="a.b")))
        self.assertIn("asks port 9999", self.container(lambda container: container["livenessProbe"]["httpGet"].update(port=9999)))
        self.assertIn("asks port 7071", self.container(lambda container: container["readinessProbe"]["grpc"].update(port=7071), COORDINATOR))
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertIn(f"{kind} is missing", self.container(lambda container, probe=kind: container.pop(probe)))
        self.assertIn("do not lead Prometheus", self.found(
            WORKER, lambda each: each["spec"]["template"]["metadata"]["annotations"].update({"prometheus.io/port": "9090"})))

    def test_references(self):
        self.assertIn("its namespace is not", self.found(WORKER, lambda each: each["metadata"].update(namespace="other")))
        self.assertIn("no ServiceAccount/worker", self.pod(lambda pod: pod.update(serviceAccountName="worker")))
        self.assertIn("no PriorityClass/high", self.pod(lambda pod: pod.update(priorityClassName="high")))
        self.assertIn("no Service/coordinators", self.found(
            "StatefulSet/imgfleet-coordinator", lambda each: each["spec"].update(serviceName="coordinators"), "dev"))
        self.assertIn("mounted ['postgresql-ca', 'tmp']", self.pod(lambda pod: pod["volumes"].pop(), COORDINATOR))

    def test_secrets(self):
        self.assertEqual(wiring.secrets_told("""
            #   kubectl create secret generic a --from-literal=store='x' --from-file=ca.crt \\
            #     --from-file=key=folder/file"""), {"a": {"store", "ca.crt", "key"}})

        def other(pod):
            pod["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["key"] = "uri"
        objects = copy.deepcopy(manifests.rendered()["prod"])
        other(manifests.named(objects, COORDINATOR)["spec"]["template"]["spec"])
        self.assertEqual(wiring.secrets_used(objects), {"imgfleet-postgresql": {"uri", "password", "ca.crt"}})

    def test_restricted(self):
        label = "pod-security.kubernetes.io/enforce"
        self.assertIn("is not restricted", self.found("Namespace/imgfleet", lambda each: each["metadata"]["labels"].pop(label)))
        self.assertIn("is not restricted", self.found(
            "Namespace/imgfleet", lambda each: each["metadata"]["labels"].update({label + "-version": "latest"})))
        self.assertIn("capabilities", self.container(lambda container: container["securityContext"].pop("capabilities")))
        self.assertIn("read-only", self.container(lambda container: container["securityContext"].update(readOnlyRootFilesystem=False)))
        self.assertIn("escalation", self.container(lambda container: container["securityContext"].pop("allowPrivilegeEscalation")))
        self.assertIn("runAsNonRoot", self.pod(lambda pod: pod.pop("securityContext")))
        self.assertIn("a number for runAsUser", self.pod(lambda pod: pod["securityContext"].pop("runAsUser")))
        self.assertIn("hostNetwork", self.pod(lambda pod: pod.update(hostNetwork=True)))
        self.assertIn("volume host is of a kind", self.pod(
            lambda pod: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), COORDINATOR))
        self.assertIn("it gets a token", self.pod(lambda pod: pod.pop("automountServiceAccountToken")))
        self.assertIn("variables of Services", self.pod(lambda pod: pod.pop("enableServiceLinks")))
        self.assertIn("hands out tokens", self.found(
            "ServiceAccount/imgfleet-worker", lambda each: each.pop("automountServiceAccountToken")))

    def test_bounds(self):
        self.assertIn("memory limit", self.container(lambda container: container["resources"].pop("limits")))
        self.assertIn("has no bound", self.pod(lambda pod: pod["volumes"][1].update(emptyDir={}), COORDINATOR))
        self.assertIn("has no version", self.container(lambda container: container.update(image="a.b:5000/imgfleet-worker")))
        self.assertIn("are no bounds", self.found(
            "HorizontalPodAutoscaler/imgfleet-worker", lambda each: each["spec"].update(minReplicas=30)))
        self.assertIn("would take back", self.found(WORKER, lambda each: each["spec"].update(replicas=2)))
        self.assertIn("would take back", self.found(WORKER, lambda each: each["spec"].update(replicas=2), "dev"))

    def test_leaving(self):
        for name in (WORKER, GATEWAY, COORDINATOR):
            self.assertIn("killed before its drain", self.pod(lambda pod: pod.update(terminationGracePeriodSeconds=3), name))
        self.assertIn("killed before its drain of 61 s", self.container(
            lambda container: container.update(args=["--drain-timeout=1m1s"])))
        for name in (GATEWAY, COORDINATOR):
            self.assertIn("gone before clients are sent to others", self.container(lambda container: container.update(args=[], env=[]), name))
        self.assertIn("no --drain-timeout", self.container(lambda container: container.update(args=[])))
        self.assertIn("asks for more than the process", self.container(
            lambda container: container["livenessProbe"]["httpGet"].update(path="/readyz")))
        self.assertIn("readiness says nothing", self.container(
            lambda container: container["readinessProbe"]["httpGet"].update(path="/healthz")))
        self.assertIn("does not show why", self.container(lambda container: container.pop("terminationMessagePolicy")))
        self.assertIn("takes pods away", self.found(
            GATEWAY, lambda each: each["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1)))
        self.assertIn("takes pods away", self.found(GATEWAY, lambda each: each["spec"].pop("strategy")))
        self.assertIn("revisionHistoryLimit", self.found(GATEWAY, lambda each: each["spec"].pop("revisionHistoryLimit")))
        self.assertIn("hold a node for ever", self.found(
            "PodDisruptionBudget/imgfleet-worker", lambda each: each["spec"].update(maxUnavailable=0)))


if __name__ == "__main__":
    unittest.main()
