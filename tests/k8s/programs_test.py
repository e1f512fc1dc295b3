#!/usr/bin/python3
"""The programs are what the manifests take them for; started just as the manifests say, they answer the manifests' probes on the
manifests' ports, and tell the metrics that the manifests name.

Every test has a network of its own, so that the ports are free; what only a cluster has, the Service names and the volumes, is
replaced by loopback and folders.
"""

import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manifests  # noqa: E402
import programs  # noqa: E402

PROGRAMS = {f"imgfleet-{role}": os.path.abspath(f"{role}/imgfleet-{role}") for role in ("coordinator", "worker", "gateway")}
PATIENCE = 30


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def answers(port, probe):
    """Whether a probe succeeds, as the kubelet would ask it."""
    if "grpc" in probe:
        grpcurl = os.path.join(manifests.TOOLS, "bin/grpcurl")
        run = subprocess.run([grpcurl, "-plaintext", "-max-time", "2", f"127.0.0.1:{port}", "grpc.health.v1.Health/Check"],
                             capture_output=True, text=True, check=False)
        return run.returncode == 0 and json.loads(run.stdout).get("status") == "SERVING"
    return 200 <= get(port, probe["httpGet"]["path"])[0] < 400


def output(program, flag):
    return subprocess.run([PROGRAMS[program], flag], capture_output=True, text=True, check=True).stdout


class ProgramsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flags = {name: json.loads(output(name, "--print-flags")) for name in PROGRAMS}

    def test_flags_variables_ports_and_paths_exist(self):
        for name, objects in manifests.rendered().items():
            with self.subTest(name):
                self.assertEqual(programs.problems(objects, self.flags), [])

    def test_the_version_is_the_programs(self):
        for program in PROGRAMS:
            version = re.search(r"\d+\.\d+\.\d+\S*", output(program, "--version")).group()
            for name, objects in manifests.rendered().items():
                with self.subTest(name):
                    self.assertEqual(list(programs.version_problems(objects, version)), [])

    def test_each_check_finds_its_fault(self):
        def found(change, name="Deployment/imgfleet-worker", overlay="prod"):
            objects = copy.deepcopy(manifests.rendered()[overlay])
            change(manifests.named(objects, name)["spec"]["template"]["spec"]["containers"][0])
            return "\n".join(programs.problems(objects, self.flags))
        coordinator, with_volume = "Deployment/imgfleet-coordinator", "StatefulSet/imgfleet-coordinator"
        variable = {"name": "IMGFLEET_CONTACTS", "value": "a"}
        self.assertIn("no program imgfleet-wrker", found(lambda c: c.update(command=["imgfleet-wrker"])))
        self.assertIn("is not what the image", found(lambda c: c.update(image="imgfleet-gateway:0.1.0")))
        self.assertIn("no flag --drain-time", found(lambda c: c["args"].append("--drain-time=1s")))
        self.assertIn("given twice", found(lambda c: c["args"].append("--threads=3")))
        self.assertIn("reads no variable IMGFLEET_CONTACTS", found(lambda c: c.update(env=[variable])))
        self.assertIn("reads no variable PGPASS", found(lambda c: c["env"][1].update(name="PGPASS"), coordinator))
        self.assertIn("goes before IMGFLEET_THREADS", found(lambda c: c.update(env=[{"name": "IMGFLEET_THREADS", "value": "3"}])))
        self.assertIn("declares ports [9093]", found(lambda c: c["ports"][0].update(containerPort=9093)))
        self.assertIn("names no Service", found(lambda c: c["args"].append("--coordinator=imgfleet-coordinator:7071")))
        self.assertIn("--spool /tmp lies on no volume", found(lambda c: c["volumeMounts"].clear(), coordinator))
        self.assertIn("--spool /tmp lies on no volume", found(lambda c: c["volumeMounts"].clear(), with_volume, "dev"))
        self.assertIn("--store /var/lib/imgfleet/imgfleet.db lies on no", found(lambda c: c["volumeMounts"].pop(), with_volume, "dev"))
        self.assertIn("--credentials /etc/keys lies on no volume", found(lambda c: c["args"].append("--credentials=/etc/keys"), coordinator))
        self.assertIn("PGSSLROOTCERT /etc/imgfleet/postgresql/ca.pem is none", found(
            lambda c: c["env"][3].update(value="/etc/imgfleet/postgresql/ca.pem"), coordinator))
        prod = manifests.rendered()["prod"]
        self.assertIn("its label version is not 9.9.9", "\n".join(programs.version_problems(prod, "9.9.9")))
        self.assertEqual(programs.metrics_named([], ["max(imgfleet_no_such{a})"]), {"imgfleet_no_such"})

    def test_started_as_dev_says_they_answer_the_probes_and_tell_the_metrics(self):
        objects, order = manifests.rendered()["dev"], {name: place for place, name in enumerate(PROGRAMS)}
        told, running = "", []
        with tempfile.TemporaryDirectory() as folder:
            try:
                started = sorted(manifests.imgfleets(objects), key=lambda each: order[each[2]["command"][0]])
                for where, _, container in started:
                    running.append(self.start(container, folder))
                    self.check_probes(where, container, running[-1], os.path.join(folder, container["name"] + ".log"))
                for _, workload, container in started:
                    notes = workload["spec"]["template"]["metadata"]["annotations"]
                    status, text = get(int(notes["prometheus.io/port"]), notes["prometheus.io/path"])
                    self.assertEqual(status, 200)
                    told += text
            finally:
                for process in reversed(running):
                    process.terminate()
                for process in running:
                    process.wait(PATIENCE)
        texts = [path.read_text(encoding="utf-8") for path in manifests.TOP.glob("k8s/**/*.yaml")]
        everything = [each for objects in manifests.rendered().values() for each in objects]
        named = programs.metrics_named(everything, texts)
        self.assertIn("imgfleet_coordinator_items_pending", named)
        for metric in named:
            self.assertRegex(told, rf"(?m)^{metric}(\{{| )")

    def start(self, container, folder):
        def here(text):
            return re.sub(r"(^|[=:])(/var/lib/imgfleet|/tmp)\b", rf"\1{folder}", text).replace("=imgfleet-coordinator:", "=127.0.0.1:")
        environment = {each["name"]: here(each["value"]) for each in container.get("env", [])}
        with open(os.path.join(folder, container["name"] + ".log"), "wb") as out:
            return subprocess.Popen([PROGRAMS[container["command"][0]], *map(here, container["args"])], stdout=out, stderr=out,
                                    env=environment)

    def check_probes(self, where, container, process, log):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            port = probe.get("grpc", probe.get("httpGet"))["port"]
            deadline = time.monotonic() + PATIENCE
            while not answers(ports.get(port, port), probe):
                with open(log, encoding="utf-8", errors="replace") as said:
                    if process.poll() is not None or time.monotonic() > deadline:
                        self.fail(f"{where}: {kind} {probe} finds no answer; the program said:\n{said.read()}")
                time.sleep(0.05)
        # A path that does not exist must not answer as if it did, or the above would prove nothing.
        self.assertFalse(answers(ports["admin"], {"httpGet": {"path": "/no-such-path"}}), where)


if __name__ == "__main__":
    unittest.main()
