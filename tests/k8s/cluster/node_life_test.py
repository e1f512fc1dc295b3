#!/usr/bin/python3
"""A node beside the one under test: it sees nothing of that one, and however it ends, nothing of it stays."""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import kube

IMAGES = []
NAME = os.environ.get("KUBE_NODE", "imgfleet") + "-life"
FOLDER = f"/var/tmp/imgfleet-node/{NAME}"
PODS = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "idle"},
        "spec": {"serviceName": "idle", "replicas": 2, "podManagementPolicy": "Parallel", "selector": {"matchLabels": {"app": "idle"}},
                 "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                                                 "resources": {"requests": {"storage": "1Gi"}}}}],
                 "template": {"metadata": {"labels": {"app": "idle"}},
                              "spec": {"containers": [{"name": "main", "image": "localhost/pause:1",
                                                       "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}}}}


def node(*arguments):
    return kube.run(["env", f"KUBE_NODE={NAME}", *kube.NODE, *arguments])


def first_process():
    """The node's process 1, by its id outside."""
    with open(f"{FOLDER}/pid", encoding="utf-8") as file:
        keeper = file.read().strip()
    with open(f"/proc/{keeper}/task/{keeper}/children", encoding="utf-8") as file:
        return int(file.read())


def network_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def processes_in(network):
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and network_of(pid) == network]


def left_behind():
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = [line for line in file if NAME in line]
    return mounts + glob.glob(FOLDER) + glob.glob(f"/sys/fs/cgroup/imgfleet-node-{NAME}") + \
        glob.glob(f"/sys/fs/cgroup/*/imgfleet-node-{NAME}")


class NodeLifeTest(unittest.TestCase):
    def setUp(self):
        self.addCleanup(node, "down")
        node("down")

    def up_with_pods(self):
        """The network namespace of a node that runs pods with volumes."""
        node("up")
        manifest = kube.run(["mktemp", "/tmp/life.XXXXXX"]).strip()
        self.addCleanup(os.unlink, manifest)
        with open(manifest, "w", encoding="utf-8") as file:
            file.write(json.dumps(PODS))
        node("kubectl", "apply", "-f", manifest)
        node("kubectl", "rollout", "status", "statefulset/idle", "--timeout=120s")
        return network_of(first_process())

    def test_two_nodes_side_by_side(self):
        self.up_with_pods()
        self.assertEqual(node("kubectl", "get", "nodes", "-o", "name").split(), [f"node/{NAME}"])
        self.assertNotIn(NAME, kube.kubectl("get", "nodes", "-o", "name"))
        self.assertNotIn("idle", kube.kubectl("get", "pods", "-A", "-o", "name"))
        node("down")
        self.assertTrue(kube.kubectl("get", "--raw", "/readyz"))

    def test_down_leaves_nothing_and_may_be_said_again(self):
        network = self.up_with_pods()
        self.assertGreater(len(processes_in(network)), 10)
        self.assertTrue(left_behind())
        node("down")
        self.assertEqual(processes_in(network), [])
        self.assertEqual(left_behind(), [])
        node("down")

    def test_a_node_that_was_killed_leaves_no_process_and_down_removes_its_files(self):
        network = self.up_with_pods()
        os.kill(first_process(), signal.SIGKILL)
        kube.eventually(lambda: not processes_in(network), seconds=10)
        with self.assertRaisesRegex(kube.Refused, "is not up. Run: node.py up"):
            node("kubectl", "get", "nodes")
        self.assertTrue(left_behind())
        node("down")
        self.assertEqual(left_behind(), [])

    def test_up_after_an_up_that_was_killed_on_the_way(self):
        for moment in (0.0, 0.3, 3.0):
            starting = subprocess.Popen(["env", f"KUBE_NODE={NAME}", *kube.NODE, "up"])
            kube.eventually(lambda: os.path.exists(f"{FOLDER}/pid"), every=0.001)
            time.sleep(moment)
            starting.kill()
            starting.wait()
        node("up")
        self.assertIn("Ready", node("kubectl", "get", "nodes"))

    def test_the_checkout_may_lie_where_the_node_has_folders_of_its_own(self):
        with tempfile.TemporaryDirectory(dir="/var/lib") as top:
            shutil.copytree(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"), f"{top}/node")
            for verb in ("up", "down"):
                kube.run(["env", f"KUBE_NODE={NAME}", f"{top}/node/node.py", verb])

    def test_a_start_that_fails_says_what_is_missing(self):
        with self.assertRaisesRegex(kube.Refused, "Run: tools/setup.sh k8s"):
            kube.run(["env", f"KUBE_NODE={NAME}", "IMGFLEET_CACHE=/nonexistent", *kube.NODE, "up"])
        with self.assertRaisesRegex(kube.Refused, "KUBE_NODE=a/b: a name of lower-case letters"):
            kube.run(["env", "KUBE_NODE=a/b", *kube.NODE, "up"])
        self.assertFalse(os.path.exists(FOLDER))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
