#!/usr/bin/python3
"""Runs the tests of tests/k8s/cluster on a real Kubernetes node, and ends with one line: how many passed and failed.

    tests/k8s/run.py [TEST...]     e.g. scale_test prod_test; all *_test.py if none is named. Root, on Debian 12.

Builds the images that the files ask for (tests/k8s/images), starts a node (tests/k8s/node) with them, runs each file by itself
with KUBECTL and NODE set as tests/k8s/cluster/kube.py says, and takes the node down whatever happens. A test that fails is
followed by what the cluster says at that moment: pods described, their logs, events. KEEP=1 leaves the node up, to look around
with tests/k8s/node/node.py kubectl. KUBE_NODE names the node (default: imgfleet-test).
"""

import ast
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
NODE = str(HERE / "node/node.py")
CLUSTER = HERE / "cluster"
SYSTEM = ("default", "kube-node-lease", "kube-public", "kube-system")
MOST_LINES = 60


def say(text):
    print(f"k8s: {text}", flush=True)


def kubectl(*arguments):
    """What kubectl says, errors included."""
    try:
        return subprocess.run([*shlex.split(os.environ["KUBECTL"]), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60, check=False).stdout
    except subprocess.TimeoutExpired as why:
        return str(why)


def show_cluster():
    """Prints what explains a failure best: what is there, why pods wait, what their containers said last."""
    for namespace in kubectl("get", "namespaces", "-o", "name").split():
        namespace = namespace.rpartition("/")[2]
        if namespace in SYSTEM:
            continue
        where = ("--namespace", namespace)
        print(f"----- namespace {namespace}\n{kubectl('get', 'all,pvc', '-o', 'wide', *where)}")
        print(kubectl("get", "events", "--sort-by=.lastTimestamp", *where))
        for pod in kubectl("get", "pods", "-o", "name", *where).split():
            print(f"----- {pod}\n{kubectl('describe', pod, *where)}")
            for previous in ("false", "true"):
                log = kubectl("logs", pod, "--all-containers", "--prefix", f"--tail={MOST_LINES}", f"--previous={previous}", *where)
                if "not found" not in log:
                    print(log)
    sys.stdout.flush()


class Result(unittest.TextTestResult):
    """Shows the cluster while it still is as the failed test left it: cleanups run later."""

    def addError(self, test, err):
        super().addError(test, err)
        show_cluster()

    def addFailure(self, test, err):
        super().addFailure(test, err)
        show_cluster()

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            show_cluster()


def run_file(path, report):
    """In a process of its own: the tests of one file; how many passed, failed and were skipped goes to the file `report`."""
    sys.path.insert(0, str(CLUSTER))
    suite = unittest.defaultTestLoader.discover(str(CLUSTER), path.name, str(CLUSTER))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    pathlib.Path(report).write_text(json.dumps([max(0, result.testsRun - failed - skipped), failed, skipped]), "utf-8")


def run_files(files):
    total = [0, 0, 0]
    for path in files:
        say(f"running {path.relative_to(HERE.parent.parent)}")
        report, began = pathlib.Path(os.environ["TMPDIR"], path.stem), time.monotonic()
        subprocess.run([sys.executable, __file__, "--file", str(path), str(report)], check=False)
        # A file that ends otherwise than by its last test is one failure.
        counts = json.loads(report.read_text("utf-8")) if report.exists() else [0, 1, 0]
        total = [sum(pair) for pair in zip(total, counts)]
        say(f"{path.name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped in {time.monotonic() - began:.0f} s")
    return total


def chosen(names):
    files = sorted(CLUSTER.glob("*_test.py"))
    stems = {path.stem: path for path in files}
    wanted = [name.removesuffix(".py") for name in names]
    if unknown := [name for name in wanted if name not in stems]:
        sys.exit(f"k8s: no test {', '.join(unknown)}; there are {', '.join(stems)}")
    return [stems[name] for name in wanted] or files


def images_of(path):
    """What the file says in a line `IMAGES = [...]`; all of them where it does not."""
    for line in ast.parse(path.read_text("utf-8")).body:
        if isinstance(line, ast.Assign) and [target.id for target in line.targets if isinstance(target, ast.Name)] == ["IMAGES"]:
            return ast.literal_eval(line.value)
    return ["coordinator", "worker", "gateway", "test-tools"]


def run(*command, **options):
    """A command that says itself what is wrong; what it prints, where `stdout` is asked for."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"k8s: {shlex.join(command)} failed (above)")
    return done.stdout


def main(names):
    files = chosen(names)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("k8s: ended by SIGTERM"))
    os.environ.setdefault("KUBE_NODE", "imgfleet-test")
    os.environ.update(NODE=shlex.quote(NODE), KUBECTL=shlex.join([NODE, "kubectl"]))
    images = dict.fromkeys(image for path in files for image in images_of(path))
    archives = run(str(HERE / "images/images.py"), *images, stdout=subprocess.PIPE).split() if images else []
    try:
        run(NODE, "down")  # What a run left that was killed.
        run(NODE, "up")
        run(NODE, "load", *archives, stdout=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory(prefix="k8s.") as folder:
            os.environ["TMPDIR"] = folder
            passed, failed, skipped = run_files(files)
    finally:
        if os.environ.get("KEEP"):
            say(f"the node stays up: KUBE_NODE={os.environ['KUBE_NODE']} {NODE} kubectl get all -A; then: {NODE} down")
        else:
            run(NODE, "down")
            # That of node_life_test.py, which could not do it itself where this run is being ended early.
            run("env", f"KUBE_NODE={os.environ['KUBE_NODE']}-life", NODE, "down")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--file"]:
        run_file(pathlib.Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main(sys.argv[1:]))
