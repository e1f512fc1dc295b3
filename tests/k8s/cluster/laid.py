"""The tests' overlays as objects, to be changed and applied one by one; and what `kubectl describe` says, to be searched."""

import json
import os
import pathlib
import tempfile

import kube

TOP = pathlib.Path(__file__).resolve().parents[3]


def overlay(name, namespace, *components):
    """The objects of one of the tests' overlays, with components of k8s/components over it, by KIND/NAME, as they would be applied to a
    namespace."""
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        pathlib.Path(folder, "kustomization.yaml").write_text(json.dumps({
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": namespace,
            "resources": [os.path.relpath(TOP / "tests/k8s/overlays" / name, folder)],
            "components": [os.path.relpath(TOP / "k8s/components" / each, folder) for each in components]}), encoding="utf-8")
        text = kube.kubectl("apply", "-k", folder, "--dry-run=client", "-o", "json")
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in json.loads(text)["items"]}


def words(text):
    """The text's lines, without what makes columns of them."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())
