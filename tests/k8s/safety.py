"""Whether pods are locked down, bounded, and come and go without anybody noticing."""

import re

from manifests import containers, imgfleets, name_of, of_kind, pods, seconds, settings_of

COORDINATORS_GRACE = 3  # Seconds that calls in work have once its drain is over.
SAFE_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def restricted_problems(objects):
    """What the Pod Security level `restricted` asks for, a read-only root, and no token of the API."""
    for each in of_kind(objects, "Namespace"):
        for mode in ("enforce", "warn"):
            label = f"pod-security.kubernetes.io/{mode}"
            labels = each["metadata"].get("labels", {})
            if labels.get(label) != "restricted" or not re.fullmatch(r"v1\.\d+", labels.get(label + "-version", "")):
                yield f"{name_of(each)}: {label} is not restricted as of a version"
    for workload, template in pods(objects):
        pod = template["spec"]
        context = pod.get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name_of(workload)}: runAsNonRoot and seccompProfile RuntimeDefault are missing"
        if not context.get("runAsUser"):
            yield f"{name_of(workload)}: a number for runAsUser is missing"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield f"{name_of(workload)}: {key}"
        for volume in pod.get("volumes", []):
            if not volume.keys() - {"name"} <= SAFE_VOLUMES:
                yield f"{name_of(workload)}: volume {volume['name']} is of a kind that `restricted` refuses"
        if pod.get("automountServiceAccountToken") is not False or pod.get("enableServiceLinks") is not False:
            yield f"{name_of(workload)}: it gets a token, or variables of Services"
    for account in of_kind(objects, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{name_of(account)}: it hands out tokens"
    for where, _, container in containers(objects):
        context = container.get("securityContext", {})
        if (context.get("allowPrivilegeEscalation") is not False or not context.get("readOnlyRootFilesystem")
                or context.get("capabilities") != {"drop": ["ALL"]}):
            yield f"{where}: needs no privilege escalation, a read-only root, and all capabilities dropped"


def bound_problems(objects):
    for where, workload, container in containers(objects):
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{where}: resource requests or the memory limit are missing"
        for volume in workload["spec"]["template"]["spec"].get("volumes", []):
            if container["command"][0].startswith("imgfleet-") and "sizeLimit" not in volume.get("emptyDir", {"sizeLimit": ""}):
                yield f"{where}: volume {volume['name']} has no bound"
        if ":" not in container["image"].rpartition("/")[2] or container["image"].endswith(":latest"):
            yield f"{where}: image {container['image']} has no version"
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        if not 1 <= spec.get("minReplicas", 0) < spec["maxReplicas"]:
            yield f"{name_of(scaler)}: minReplicas and maxReplicas are no bounds"
    scaled = {scaler["spec"]["scaleTargetRef"]["name"] for scaler in of_kind(objects, "HorizontalPodAutoscaler")}
    for workload, _ in pods(objects):
        if workload["metadata"]["name"] in scaled | {"imgfleet-worker"} and "replicas" in workload["spec"]:
            yield f"{name_of(workload)}: `replicas` would take back what kubectl scale or an autoscaler gave"


def leave_problems(objects):
    """A pod that is asked is ready, one that leaves has the time for it, and one that fails says why."""
    for where, workload, container in imgfleets(objects):
        flags, program = settings_of(container), container["command"][0]
        grace = workload["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
        needed = sum(seconds(flags.get(name, ["0s"])[0]) for name in ("drain-delay", "drain-timeout"))
        needed += COORDINATORS_GRACE if program == "imgfleet-coordinator" else 0
        if not needed < grace:
            yield f"{where}: it is killed before its drain of {needed} s is over"
        alone = program == "imgfleet-coordinator" and workload["spec"].get("replicas", 1) == 1
        if program != "imgfleet-worker" and not alone and "drain-delay" not in flags:
            yield f"{where}: it is gone before clients are sent to others"
        if program != "imgfleet-coordinator" and "drain-timeout" not in flags:
            yield f"{where}: no --drain-timeout to compare with its grace period"
        for kind in ("startupProbe", "livenessProbe"):
            if container.get(kind, {}).get("httpGet", {}).get("path") != "/healthz":
                yield f"{where}: {kind} asks for more than the process itself: restarting mends nothing else"
        readiness = container.get("readinessProbe", {})
        if "grpc" not in readiness and readiness.get("httpGet", {}).get("path") != "/readyz":
            yield f"{where}: its readiness says nothing"
        if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            yield f"{where}: `kubectl describe` does not show why it ended"
    for workload in of_kind(objects, "Deployment"):
        if not workload["metadata"]["name"].startswith("imgfleet-"):
            continue
        rollout = workload["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rollout.get("maxUnavailable") != 0 or not rollout.get("maxSurge"):
            yield f"{name_of(workload)}: a rollout takes pods away before others are ready"
        if "revisionHistoryLimit" not in workload["spec"]:
            yield f"{name_of(workload)}: revisionHistoryLimit is missing"
    for budget in of_kind(objects, "PodDisruptionBudget"):
        if not budget["spec"].get("maxUnavailable") or budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{name_of(budget)}: it can hold a node for ever"


def problems(objects):
    return [*restricted_problems(objects), *bound_problems(objects), *leave_problems(objects)]
