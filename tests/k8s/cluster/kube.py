"""The cluster under test, for tests/k8s/cluster/*_test.py; tests/k8s/run.py starts it and sets what is read here:

    KUBECTL    the command that is kubectl against it; by default that of the node that KUBE_NODE names
    NODE       the command tests/k8s/node/node.py, for what kubectl does not offer: `ctr`, and `exec` in the node's network
"""

import json
import os
import pathlib
import shlex
import subprocess
import time

NODE = shlex.split(os.environ.get("NODE") or str(pathlib.Path(__file__).resolve().parents[1] / "node/node.py"))
KUBECTL = shlex.split(os.environ.get("KUBECTL") or shlex.join([*NODE, "kubectl"]))
TOOLS_IMAGE = "localhost/imgfleet-test-tools:test"


class Refused(Exception):
    """A command failed; the text is what it said."""


def run(command, stdin=None, timeout=180):
    """What the command prints. Throws Refused."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise Refused(f"{shlex.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def kubectl(*arguments, stdin=None, timeout=180):
    return run([*KUBECTL, *arguments], stdin, timeout)


def apply(*objects, namespace=None):
    """Creates or changes objects given as dicts."""
    where = ["--namespace", namespace] if namespace else []
    return kubectl("apply", *where, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def get(kind, *arguments):
    """One object, or a list with .items, as a dict: get("pod", "web", "-n", "shop")."""
    return json.loads(kubectl("get", kind, *arguments, "-o", "json"))


def make_namespace(test, name, level="restricted"):
    """An empty namespace under Pod Security `level`, which is removed when `test` (or its class) ends."""
    delete_namespace(name)
    apply({"apiVersion": "v1", "kind": "Namespace",
           "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}}})
    clean_up = test.addClassCleanup if isinstance(test, type) else test.addCleanup
    clean_up(delete_namespace, name)
    return name


def delete_namespace(name):
    # Pods are given a second where their manifests may give them a minute.
    for arguments in (["pods", "--all", "-n", name, "--grace-period=1"], ["namespace", name]):
        kubectl("delete", *arguments, "--ignore-not-found", "--timeout=90s")


def eventually(check, seconds=120, every=0.5):
    """The first result of `check` that is true. Throws what it threw last, or says how long it was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        why = None
        try:
            if result := check():
                return result
        except (Refused, AssertionError, KeyError, IndexError, ValueError) as failed:
            why = failed
        if time.monotonic() > deadline:
            raise why or AssertionError(f"not within {seconds} s: {check.__doc__ or check.__name__}")
        time.sleep(every)
