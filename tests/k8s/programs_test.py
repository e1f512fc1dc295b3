#!/usr/bin/python3
"""The programs are started just as the manifests say, and answer the manifests' probes on the manifests' ports.

Beforehand each program is asked with --print-flags what it takes. Every test has a network of its own, so that the ports are free;
what only a cluster has, the Service names and the volume, is replaced by loopback and a folder.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manifests  # noqa: E402

PROGRAMS = {f"imgfleet-{role}": os.path.abspath(f"{role}/imgfleet-{role}") for role in ("coordinator", "worker", "gateway")}
BASE = os.path.dirname(os.path.realpath(pathlib.Path("k8s/base/kustomization.yaml")))
PATIENCE = 30


def answers(port, probe):
    """Whether a probe succeeds, as the kubelet would ask it."""
    if "grpc" in probe:
        grpcurl = os.path.join(manifests.TOOLS, "bin/grpcurl")
        run = subprocess.run([grpcurl, "-plaintext", "-max-time", "2", f"127.0.0.1:{port}", "grpc.health.v1.Health/Check"],
                             capture_output=True, text=True, check=False)
        return run.returncode == 0 and json.loads(run.stdout).get("status") == "SERVING"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{probe['httpGet']['path']}", timeout=2) as answer:
            return 200 <= answer.status < 400
    except urllib.error.HTTPError:
        return False
    except OSError:
        return False


class ProgramsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = manifests.render(BASE)

    def test_flags_variables_and_ports_exist(self):
        flags = {name: json.loads(subprocess.run([path, "--print-flags"], capture_output=True, check=True).stdout)
                 for name, path in PROGRAMS.items()}
        self.assertEqual(list(manifests.program_problems(self.objects, flags)), [])

    def test_started_as_the_manifests_say_they_answer_the_probes(self):
        order = {name: place for place, name in enumerate(PROGRAMS)}
        running = []
        with tempfile.TemporaryDirectory() as folder:
            try:
                for where, _, container in sorted(manifests.containers(self.objects), key=lambda c: order[c[2]["command"][0]]):
                    arguments = [argument.replace("/var/lib/imgfleet", folder).replace("=imgfleet-coordinator:", "=127.0.0.1:")
                                 for argument in container["args"]]
                    log = os.path.join(folder, container["name"] + ".log")
                    with open(log, "wb") as out:
                        process = subprocess.Popen([PROGRAMS[container["command"][0]], *arguments], stdout=out, stderr=out)
                    running.append(process)
                    self.check_probes(where, container, process, log)
            finally:
                for process in reversed(running):
                    process.terminate()
                for process in running:
                    process.wait(PATIENCE)

    def check_probes(self, where, container, process, log):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind not in container:
                continue
            probe = container[kind]
            port = probe.get("grpc", probe.get("httpGet"))["port"]
            deadline = time.monotonic() + PATIENCE
            while not answers(ports.get(port, port), probe):
                with open(log, encoding="utf-8", errors="replace") as said:
                    if process.poll() is not None or time.monotonic() > deadline:
                        self.fail(f"{where}: {kind} {probe} finds no answer; the program said:\n{said.read()}")
                time.sleep(0.05)
        # A path that does not exist must not answer as if it did, or the above would prove nothing.
        if "httpGet" in container["readinessProbe"]:
            self.assertFalse(answers(ports["admin"], {"httpGet": {"path": "/no-such-path"}}), where)


if __name__ == "__main__":
    unittest.main()
