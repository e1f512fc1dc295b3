"""Kubernetes manifests as objects: what kustomize makes of k8s/, rendered once, and what one asks of it.

    for name, objects in manifests.rendered().items():
        for where, workload, container in manifests.containers(objects): ...
"""

import functools
import glob
import os
import pathlib
import subprocess
import sys
import tempfile

KUBERNETES = "1.31"  # Whose schemas the manifests are held against.
TOOLS = os.environ.get("IMGFLEET_CACHE", "")
sys.path += glob.glob(os.path.join(TOOLS, "venv/lib/python3*/site-packages"))
try:
    import kubernetes_validate
    import yaml
except ImportError:
    sys.exit("kubernetes-validate is not installed: run tools/setup.sh test, and set IMGFLEET_CACHE as `make test` does")

# The real folders behind Bazel's symbolic links: kustomize follows none that lead out of its folder.
TOP = pathlib.Path("k8s/base/kustomization.yaml").resolve().parents[2]

# What is rendered: (overlay, components laid over it). Each component stands in one at least.
RENDERED = {
    "dev": ("k8s/overlays/dev",),
    "prod": ("k8s/overlays/prod",),
    "dev with network policies": ("k8s/overlays/dev", "network-policies"),
    "dev with autoscaling": ("k8s/overlays/dev", "autoscaling"),
    "prod with an ingress": ("k8s/overlays/prod", "ingress"),
    "dev with credentials": ("k8s/overlays/dev", "credentials"),
    "prod with credentials": ("k8s/overlays/prod", "credentials"),
    "prod by backlog": ("k8s/overlays/prod", "backlog-autoscaling"),
    "prod by hand": ("k8s/overlays/prod", "manual-scaling"),
    "dev of the tests": ("tests/k8s/overlays/dev",),
    "prod of the tests": ("tests/k8s/overlays/prod",),
}


def render(overlay, *components):
    """The objects of an overlay with components of k8s/components over it."""
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        above = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "imgfleet",
                 "resources": [os.path.relpath(TOP / overlay, folder)],
                 "components": [os.path.relpath(TOP / "k8s/components" / each, folder) for each in components]}
        pathlib.Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(above), encoding="utf-8")
        run = subprocess.run([os.path.join(TOOLS, "bin/kustomize"), "build", folder], check=False, capture_output=True, text=True,
                             env={"HOME": "/nonexistent", "PATH": "/usr/bin"})
    if run.returncode != 0 or run.stderr:
        raise ValueError(f"kustomize build {overlay} {components}: {run.stderr}")
    return [each for each in yaml.safe_load_all(run.stdout) if each]


@functools.cache
def rendered():
    return {name: render(*parts) for name, parts in RENDERED.items()}


def name_of(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def named(objects, name):
    """The one object called KIND/NAME."""
    found, = (each for each in objects if name_of(each) == name)
    return found


def pods(objects):
    """(workload, pod template) of everything that runs pods."""
    return [(each, each["spec"]["template"]) for each in of_kind(objects, "Deployment", "StatefulSet", "Job")]


def containers(objects):
    return [(f"{name_of(workload)} {container['name']}", workload, container)
            for workload, template in pods(objects) for container in template["spec"]["containers"]]


def imgfleets(objects):
    """The containers that run a program of imgfleet's."""
    return [each for each in containers(objects) if each[2].get("command", [""])[0].startswith("imgfleet-")]


def flags_of(container):
    """The flags a container is started with, as {name: [values]}."""
    found = {}
    for argument in container.get("args", []):
        name, _, value = argument.partition("=")
        found.setdefault(name.removeprefix("--"), []).append(value)
    return found


def settings_of(container):
    """Flags, and what the environment sets of the others where a value stands in the manifest."""
    found = {}
    for variable in container.get("env", []):
        if variable["name"].startswith("IMGFLEET_") and "value" in variable:
            flag = variable["name"].removeprefix("IMGFLEET_").lower().replace("_", "-")
            found[flag] = variable["value"].split(",")
    return {**found, **flags_of(container)}


def seconds(duration):
    """Of "20s" or "1m30s"."""
    total, number = 0, ""
    for character in duration:
        if character.isdigit():
            number += character
        else:
            total, number = total + int(number) * {"s": 1, "m": 60, "h": 3600}[character], ""
    return total


def matches(selector, labels):
    """Whether a LabelSelector, or the plain map of a Service, chooses these labels."""
    if not isinstance(selector.get("matchLabels", {}), dict) or not {"matchLabels", "matchExpressions"} >= selector.keys():
        return selector.items() <= labels.items()
    for expression in selector.get("matchExpressions", []):
        value, values = labels.get(expression["key"]), expression.get("values", [])
        if not {"In": value in values, "NotIn": value not in values, "Exists": value is not None,
                "DoesNotExist": value is None}[expression["operator"]]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def schema_problems(objects):
    for each in objects:
        try:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name_of(each)}: {'.'.join(map(str, error.path))}: {error.message}"
