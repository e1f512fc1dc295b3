"""Whether objects find each other: labels and selectors, Services and ports, accounts, classes, volumes."""

import re

import manifests
from manifests import containers, matches, name_of, of_kind, pods

LABEL = "app.kubernetes.io/"
SELECTED_BY = {LABEL + "name", LABEL + "component"}  # What a selector may hold: labels that never change.


def label_problems(objects):
    """The recommended labels, everywhere; in selectors only what stays as it is."""
    clusterwide = ("Namespace", "PriorityClass")
    for each in objects:
        wanted = {"name", "part-of"} if each["kind"] in clusterwide else {"name", "component", "part-of"}
        if each["metadata"].get("labels", {}).get(LABEL + "name") == "imgfleet":
            wanted |= {"managed-by"}
        missing = sorted(name for name in wanted if LABEL + name not in each["metadata"].get("labels", {}))
        if missing:
            yield f"{name_of(each)}: no label {LABEL}{missing[0]}"
    for workload, template in pods(objects):
        labels = template["metadata"]["labels"]
        if labels.get(LABEL + "name") == "imgfleet" and not {LABEL + "version", LABEL + "instance"} <= labels.keys():
            yield f"{name_of(workload)}: its pods have no label version or instance"
        selector = workload["spec"]["selector"]["matchLabels"]
        if selector.keys() != SELECTED_BY:
            yield f"{name_of(workload)}: a selector cannot be changed, so it holds name and component and nothing else"
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            if LABEL + "version" in claim["metadata"].get("labels", {}):
                yield f"{name_of(workload)}: a claim cannot be changed, so it holds no version"


def chosen(objects, selector):
    return [workload for workload, template in pods(objects) if matches(selector, template["metadata"]["labels"])]


def selector_problems(objects):
    """Everything that chooses pods chooses those of the workload whose name and component it bears."""
    for workload, template in pods(objects):
        wanted = workload["spec"]["selector"]
        if not matches(wanted, template["metadata"]["labels"]):
            yield f"{name_of(workload)}: its selector does not match its own pods"
        others = [name_of(other) for other in chosen(objects, wanted) if other is not workload]
        if others:
            yield f"{name_of(workload)}: its selector also matches the pods of {', '.join(others)}"
        for spread in template["spec"].get("topologySpreadConstraints", []):
            if chosen(objects, spread["labelSelector"]) != [workload]:
                yield f"{name_of(workload)}: it spreads over {spread['topologyKey']} other pods than its own"
    for each in of_kind(objects, "Service", "PodDisruptionBudget"):
        found = [workload["metadata"]["name"] for workload in chosen(objects, each["spec"]["selector"])]
        if found != [each["metadata"]["name"]]:
            yield f"{name_of(each)}: its selector matches {len(found)} workloads: {', '.join(found)}"
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if f"{target['kind']}/{target['name']}" not in map(name_of, objects):
            yield f"{name_of(scaler)}: it scales {target['kind']}/{target['name']}, which is not there"


def ports_of(container):
    return {key for port in container.get("ports", []) for key in (port["name"], port["containerPort"])}


def port_problems(objects):
    for service in of_kind(objects, "Service"):
        known = {key for workload in chosen(objects, service["spec"]["selector"])
                 for container in workload["spec"]["template"]["spec"]["containers"] for key in ports_of(container)}
        for port in service["spec"]["ports"]:
            if port.get("targetPort", port["port"]) not in known:
                yield f"{name_of(service)}: no container port {port.get('targetPort', port['port'])}"
    for ingress in of_kind(objects, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                wanted = path["backend"]["service"]
                if not any(service["metadata"]["name"] == wanted["name"] and wanted["port"]["name"] in
                           [port["name"] for port in service["spec"]["ports"]] for service in of_kind(objects, "Service")):
                    yield f"{name_of(ingress)}: no Service {wanted['name']} with a port {wanted['port']['name']}"
            if rule["host"] not in [host for each in ingress["spec"]["tls"] for host in each["hosts"]]:
                yield f"{name_of(ingress)}: {rule['host']} has no TLS"
    for where, workload, container in containers(objects):
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind not in container:
                yield f"{where}: {kind} is missing"
                continue
            port = container[kind].get("grpc", container[kind].get("httpGet", {})).get("port")
            if "exec" not in container[kind] and port not in ports_of(container):
                yield f"{where}: a probe asks port {port}, which the container does not declare"
        notes = workload["spec"]["template"]["metadata"].get("annotations", {})
        if container in [each for _, _, each in manifests.imgfleets(objects)]:
            declared = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
            if (notes.get("prometheus.io/scrape"), notes.get("prometheus.io/port")) != ("true", declared.get("admin")):
                yield f"{where}: its annotations do not lead Prometheus to the port `admin`"


def reference_problems(objects):
    """Accounts, classes, volumes and namespaces that are named are there."""
    names = set(map(name_of, objects))
    spaces = {each["metadata"]["name"] for each in of_kind(objects, "Namespace")}
    for each in objects:
        if each["kind"] not in ("Namespace", "PriorityClass") and each["metadata"].get("namespace") not in spaces:
            yield f"{name_of(each)}: its namespace is not that of these manifests"
    for workload, template in pods(objects):
        pod = template["spec"]
        for kind, key in (("ServiceAccount", "serviceAccountName"), ("PriorityClass", "priorityClassName")):
            if key in pod and f"{kind}/{pod[key]}" not in names:
                yield f"{name_of(workload)}: there is no {kind}/{pod[key]}"
        service = workload["spec"].get("serviceName")
        if service and f"Service/{service}" not in names:
            yield f"{name_of(workload)}: there is no Service/{service}"
        volumes = {volume["name"] for volume in pod.get("volumes", []) + [
            {"name": claim["metadata"]["name"]} for claim in workload["spec"].get("volumeClaimTemplates", [])]}
        mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
        if volumes != mounted:
            yield f"{name_of(workload)}: volumes {sorted(volumes)}, mounted {sorted(mounted)}"


def secrets_used(objects):
    """{secret: {key}} that pods take from."""
    used = {}
    for workload, template in pods(objects):
        for volume in template["spec"].get("volumes", []):
            if "secret" in volume:
                used.setdefault(volume["secret"]["secretName"], set()).update(
                    item["key"] for item in volume["secret"].get("items", []))
        for container in template["spec"]["containers"]:
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    used.setdefault(reference["name"], set()).add(reference["key"])
    return used


def secrets_told(text):
    """{secret: {key}} that the commands in a text make."""
    told = {}
    commands = re.sub(r"\\\n[# ]*", "", text)
    for line in re.findall(r"create secret generic (.*)", commands):
        name, *rest = line.split()
        told[name] = {re.split("[=/]", each.partition("=")[2])[0] for each in rest if each.startswith("--from-")}
    return told


def problems(objects):
    return [*label_problems(objects), *selector_problems(objects), *port_problems(objects), *reference_problems(objects)]
