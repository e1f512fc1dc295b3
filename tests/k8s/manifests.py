"""Kubernetes manifests as objects, and what must be true of them."""

import glob
import os
import re
import subprocess
import sys

KUBERNETES = "1.31"  # Whose schemas the manifests are held against.
TOOLS = os.environ.get("IMGFLEET_CACHE", "")
sys.path += glob.glob(os.path.join(TOOLS, "venv/lib/python3*/site-packages"))
try:
    import kubernetes_validate
    import yaml
except ImportError:
    sys.exit("kubernetes-validate is not installed: run tools/setup.sh test, and set IMGFLEET_CACHE as `make test` does")


def render(folder):
    """The objects of a kustomization."""
    out = subprocess.run([os.path.join(TOOLS, "bin/kustomize"), "build", folder], check=True, capture_output=True, text=True,
                         env={"HOME": "/nonexistent", "PATH": "/usr/bin"}).stdout
    return [each for each in yaml.safe_load_all(out) if each]


def name_of(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def pods(objects):
    """(workload, pod template) of everything that runs pods."""
    return [(each, each["spec"]["template"]) for each in objects if each["kind"] in ("Deployment", "StatefulSet")]


def containers(objects):
    return [(f"{name_of(workload)} {container['name']}", workload, container)
            for workload, template in pods(objects) for container in template["spec"]["containers"]]


def flags_of(container):
    """The flags a container is started with, as {name: [values]}."""
    found = {}
    for argument in container.get("args", []):
        name, _, value = argument.partition("=")
        found.setdefault(name.removeprefix("--"), []).append(value)
    return found


def schema_problems(objects):
    for each in objects:
        try:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name_of(each)}: {'.'.join(map(str, error.path))}: {error.message}"


def wiring_problems(objects):
    """Selectors meet labels, ports are found by the names that refer to them, labels are the recommended ones."""
    for each in objects:
        for label in ("name", "component", "part-of"):
            if f"app.kubernetes.io/{label}" not in each["metadata"].get("labels", {}):
                yield f"{name_of(each)}: no label app.kubernetes.io/{label}"
    for workload, template in pods(objects):
        wanted = workload["spec"]["selector"]["matchLabels"]
        if not wanted.items() <= template["metadata"]["labels"].items():
            yield f"{name_of(workload)}: its selector does not match its own pods"
        others = [name_of(other) for other, pod in pods(objects)
                  if other is not workload and wanted.items() <= pod["metadata"]["labels"].items()]
        if others:
            yield f"{name_of(workload)}: its selector also matches the pods of {', '.join(others)}"
    for service in (each for each in objects if each["kind"] == "Service"):
        chosen = [pod for _, pod in pods(objects) if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()]
        if len(chosen) != 1:
            yield f"{name_of(service)}: its selector matches {len(chosen)} workloads"
        for port in service["spec"]["ports"]:
            known = {key for pod in chosen for container in pod["spec"]["containers"] for declared in container.get("ports", [])
                     for key in (declared["name"], declared["containerPort"])}
            if port.get("targetPort", port["port"]) not in known:
                yield f"{name_of(service)}: no container port {port.get('targetPort', port['port'])}"
    for where, _, container in containers(objects):
        known = {key for port in container.get("ports", []) for key in (port["name"], port["containerPort"])}
        for probe in (container[key] for key in ("startupProbe", "readinessProbe", "livenessProbe") if key in container):
            port = probe.get("grpc", probe.get("httpGet", {})).get("port")
            if port not in known:
                yield f"{where}: a probe asks port {port}, which the container does not declare"
        if not {"readinessProbe", "livenessProbe"} <= container.keys():
            yield f"{where}: readiness or liveness probe is missing"


def safety_problems(objects):
    """What the Pod Security level `restricted` asks for, a read-only root, bounds, and time to drain."""
    for workload, template in pods(objects):
        pod = template["spec"]
        context = pod.get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name_of(workload)}: runAsNonRoot and seccompProfile RuntimeDefault are missing"
    for where, workload, container in containers(objects):
        context = container.get("securityContext", {})
        if (context.get("allowPrivilegeEscalation") is not False or not context.get("readOnlyRootFilesystem")
                or context.get("capabilities") != {"drop": ["ALL"]}):
            yield f"{where}: needs no privilege escalation, a read-only root, and all capabilities dropped"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{where}: resource requests or the memory limit are missing"
        drain = flags_of(container).get("drain-timeout")
        if drain and not int(drain[0].removesuffix("s")) < workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]:
            yield f"{where}: it is killed before --drain-timeout is over"


def program_problems(objects, flags_by_program):
    """Programs, flags, variables and ports exist. `flags_by_program`: name -> what the program's --print-flags says."""
    services = {each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
                for each in objects if each["kind"] == "Service"}
    for where, _, container in containers(objects):
        program = container["command"][0]
        if program not in flags_by_program:
            yield f"{where}: there is no program {program}"
            continue
        known = {flag["name"]: flag for flag in flags_by_program[program]["flags"]}
        given = flags_of(container)
        for name in given:
            if name not in known:
                yield f"{where}: {program} has no flag --{name}"
        variables = {flag.get("env") for flag in known.values()}
        for variable in container.get("env", []):
            if variable["name"].startswith("IMGFLEET_") and variable["name"] not in variables:
                yield f"{where}: {program} reads no variable {variable['name']}"
        listening = {int(value[0].rpartition(":")[2]) for name, value in given.items() if name in ("listen", "admin-listen")}
        declared = {port["containerPort"] for port in container.get("ports", [])}
        if declared != listening:
            yield f"{where}: declares ports {sorted(declared)} and listens on {sorted(listening)}"
        for value in given.get("coordinator", []):
            host, _, port = value.partition(":")
            if int(port) not in services.get(host, ()):
                yield f"{where}: --coordinator={value} names no Service and port of these manifests"
        for value in given.get("store", []):
            folder = re.sub(r"^sqlite:(.*)/[^/]*$", r"\1", value)
            if not any(mount["mountPath"] == folder for mount in container.get("volumeMounts", [])):
                yield f"{where}: --store={value} lies on no volume"


def problems(objects):
    """Everything that can be told without the programs."""
    return [*schema_problems(objects), *wiring_problems(objects), *safety_problems(objects)]
