#!/usr/bin/python3
"""The decoder's sandbox in a pod: under `restricted`, with the runtime's default seccomp profile, all capabilities dropped and a
read-only root it decodes, locked in as anywhere else. Where a profile refuses what the sandbox is made of, the worker says so and
decodes nothing, and all else goes on as before."""

import ctypes
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "node")]
import kube  # noqa: E402
import node  # noqa: E402
from laid import overlay  # noqa: E402

TOP = HERE.parents[2]
NAMESPACE = "imgfleet-sandbox"
# Images of all formats, each answered as it is.
ORIGIN = ["--images=80", "--changing=0", "--flaky=0", "--missing=0", "--html=0"]
PATHS = [f"/{i}.jpg" for i in range(80)]
EPERM = {"action": "SCMP_ACT_ERRNO", "errnoRet": 1}  # What runtimes' own profiles answer.
REFUSED = {
    "landlock": [{"names": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"], **EPERM}],
    "seccomp": [{"names": ["seccomp"], **EPERM}],
}
DEFAULT = {"type": "RuntimeDefault", "localhostProfile": None}
# What an outcome says of an image, whoever was asked.
TOLD = ("status", "format", "width", "height", "orientation", "size_bytes", "sha256", "complete", "pixels")


def build(*targets):
    """What is compared with, or taken along: programs for a Debian like that of the images."""
    cache = os.environ.get("IMGFLEET_DISK_CACHE") or os.path.join(node.CACHE, "bazel")
    labels = ["//" + ":".join(target.rsplit("/", 1)) for target in targets]
    subprocess.run(["bazel", "build", "--noshow_progress", f"--disk_cache={cache}", *labels], cwd=TOP, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def told(lines):
    """Outcomes by path, from lines of JSON."""
    outcomes = map(json.loads, lines.splitlines())
    return {"/" + each["url"].split("/", 3)[3]: {name: each[name] for name in TOLD if name in each} for each in outcomes}


def without_pixels(outcomes):
    return {path: {name: value for name, value in outcome.items() if name != "pixels"} for path, outcome in outcomes.items()}


def measured_outside(depth):
    """By a worker of this machine, in no container, from an origin that has the same images."""
    with tempfile.TemporaryDirectory(prefix="sandbox.", dir="/tmp") as folder:
        command = ["/usr/bin/python3", "tests/origin/origin.py", f"--image-cache={folder}", *ORIGIN]
        die = ctypes.CDLL(None).prctl
        with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: die(1, signal.SIGKILL)) as origin:
            try:
                port = json.loads(origin.stdout.readline())["http"]
                urls = "".join(f"http://127.0.0.1:{port}{path}\n" for path in PATHS)
                flags = ["--allow-address=127.0.0.0/8", "--quiet", f"--depth={depth}"]
                return told(subprocess.run(["bazel-bin/cli/imgfleet", "info", "-", *flags], cwd=TOP, env={}, input=urls, text=True,
                                           check=True, stdout=subprocess.PIPE, timeout=300).stdout)
            finally:
                origin.kill()


class SandboxTest(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        build("cli/imgfleet", "decoder/sandbox_test", "decoder/sandbox_probe")
        cls.outside = {depth: measured_outside(depth) for depth in ("header", "full", "pixels")}
        profiles = pathlib.Path(node.Node(os.environ.get("KUBE_NODE", "imgfleet")).folder, "lib/kubelet/seccomp")
        profiles.mkdir(exist_ok=True)
        for what, calls in REFUSED.items():
            profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}
            (profiles / f"refuses-{what}.json").write_text(json.dumps(profile), "utf-8")
        kube.make_namespace(cls, NAMESPACE)
        objects = overlay("dev", NAMESPACE)
        objects["Deployment/origin"]["spec"]["template"]["spec"]["containers"][0]["args"] += ORIGIN
        kube.apply(*(each for each in objects.values() if each["kind"] != "Namespace"), namespace=NAMESPACE)
        for each in ("deployment/origin", "statefulset/imgfleet-coordinator", "deployment/imgfleet-worker", "deployment/imgfleet-gateway"):
            cls.rolled_out(each)

    @staticmethod
    def kubectl(*arguments, **options):
        return kube.kubectl("--namespace", NAMESPACE, *arguments, **options)

    @classmethod
    def rolled_out(cls, what):
        cls.kubectl("rollout", "status", what, "--timeout=300s", timeout=320)

    def worker(self, profile):
        """The only pod of workers, ready, under this seccomp profile."""
        patch = {"spec": {"template": {"spec": {"securityContext": {"seccompProfile": profile}}}}}
        self.kubectl("patch", "deployment/imgfleet-worker", "--type=merge", "--patch", json.dumps(patch))
        self.rolled_out("deployment/imgfleet-worker")

        def alone():
            """one worker"""
            pods = kube.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=worker")["items"]
            return pods[0] if len(pods) == 1 else None
        return kube.eventually(alone, 180)

    def ask(self, method, path, body=None):
        return self.kubectl("exec", "-i", "deployment/origin", "--", "curl", "-sS", "--fail-with-body", "-X", method,
                            "-H", "Content-Type: application/json", "-H", "Accept: application/x-ndjson, application/json",
                            *(["--data-binary", "@-"] if body else []), f"http://imgfleet-gateway:8080{path}",
                            stdin=json.dumps(body) if body else None)

    def measured(self, depth):
        """By a durable job of the fleet in the pods."""
        urls = [f"http://origin.{NAMESPACE}.svc.cluster.local{path}" for path in PATHS]
        job = "/api/v1/jobs/" + json.loads(self.ask("POST", "/api/v1/jobs", {"urls": urls, "depth": depth}))["id"]
        kube.eventually(lambda: json.loads(self.ask("GET", job))["state"] == "COMPLETED", 180)
        return told(self.ask("GET", job + "/results"))

    def readyz(self, pod):
        name = pod["metadata"]["name"]
        return kube.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:9092/proxy/readyz")

    @staticmethod
    def decoders(pod):
        """/proc/PID/status, as this machine sees it, of each decoder of a pod."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if pod["metadata"]["uid"] not in (folder / "cgroup").read_text("ascii"):
                    continue
                status = dict(line.split(":", 1) for line in (folder / "status").read_text("ascii").splitlines())
            except OSError:  # It has ended.
                continue
            status = {name: value.strip() for name, value in status.items()}
            if status["Name"] == "imgfleet-decode":  # As far as the kernel keeps names.
                found.append(status)
        return found

    def test_a_restricted_pod_decodes_as_a_worker_outside_does(self):
        pod = self.worker(DEFAULT)
        self.assertEqual(self.readyz(pod), "ready\n")
        inside = self.measured("pixels")
        self.assertEqual(inside, self.outside["pixels"])
        decoded = [path for path, outcome in inside.items() if outcome["pixels"]["decoded"]]
        self.assertGreater(len(decoded), 40)
        self.assertEqual(len({inside[path]["format"] for path in decoded} & {"jpeg", "png", "gif", "webp"}), 4)
        decoders = self.decoders(pod)
        self.assertGreaterEqual(len(decoders), 1)
        for status in decoders:
            with self.subTest(status=status):
                self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"))
                # The runtime's and its own.
                self.assertGreaterEqual(int(status["Seccomp_filters"]), 2)
                for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                    self.assertEqual(int(status[capabilities], 16), 0, capabilities)
                self.assertEqual((status["Uid"].split(), status["Gid"].split()), (["65532"] * 4, ["65532"] * 4))
                self.assertEqual(status["Threads"], "1")

    def test_every_attempt_to_break_out_fails_in_a_restricted_pod_too(self):
        """//decoder:sandbox_test, with its attempts against each part of the sandbox, Landlock behind the filter included."""
        origin = kube.get("deployment", "origin", "-n", NAMESPACE)["spec"]["template"]["spec"]
        container = {name: origin["containers"][0][name] for name in ("image", "imagePullPolicy", "securityContext", "volumeMounts")}
        spec = {**{name: origin[name] for name in ("automountServiceAccountToken", "securityContext", "volumes")}, "restartPolicy": "Never",
                "containers": [{**container, "name": "attempts", "command": ["sleep", "600"],
                                "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "512Mi"}}}]}
        kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "attempts"}, "spec": spec}, namespace=NAMESPACE)
        self.kubectl("wait", "--for=condition=Ready", "pod/attempts", "--timeout=180s", timeout=200)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
            for name in ("decoder/sandbox_test", "decoder/sandbox_probe"):
                tar.add(TOP / "bazel-bin" / name, name)
        subprocess.run([*kube.KUBECTL, "-n", NAMESPACE, "exec", "-i", "attempts", "--", "tar", "-x", "-C", "/tmp"], check=True,
                       input=archive.getvalue(), timeout=120)
        said = self.kubectl("exec", "attempts", "--", "sh", "-c", "cd /tmp && exec decoder/sandbox_test", timeout=300)
        self.assertRegex(said, r"\[  PASSED  \] \d\d tests\.")

    def refused(self, what, reason):
        """All of it but decoding is as it was."""
        pod = self.worker({"type": "Localhost", "localhostProfile": f"refuses-{what}.json"})
        self.assertEqual(self.measured("header"), self.outside["header"])
        self.assertEqual(self.measured("full"), self.outside["full"])
        for _ in range(2):
            pixels = self.measured("pixels")
            self.assertEqual(without_pixels(pixels), without_pixels(self.outside["pixels"]))
            for path, outcome in pixels.items():
                expected = self.outside["pixels"][path]["pixels"]
                if not expected["decoded"]:  # For a reason of the image's own.
                    self.assertEqual(outcome["pixels"], expected)
                    continue
                self.assertEqual(set(outcome["pixels"]), {"decoded", "error"}, path)
                error = outcome["pixels"]["error"]
                self.assertEqual((outcome["pixels"]["decoded"], error["reason"], error["retryable"]), (False, "INTERNAL", True))
                self.assertRegex(error["message"], reason)
        self.assertEqual(self.decoders(pod), [])
        # The pod stays ready, and says what it lacks; the log does so once, however often it was asked for.
        said = self.readyz(pod)
        self.assertRegex(said, rf"^ready\nno image can be decoded: .*{reason}.*\n$")
        log = self.kubectl("logs", pod["metadata"]["name"])
        self.assertEqual(len(re.findall(rf"no image can be decoded: .*{reason}", log)), 1, log)
        self.assertEqual(len(re.findall("warning|error", log)), 1, log)
        status = kube.get("pod", pod["metadata"]["name"], "-n", NAMESPACE)["status"]
        self.assertEqual([(each["ready"], each["restartCount"]) for each in status["containerStatuses"]], [(True, 0)])

    def test_where_landlock_is_refused_a_worker_decodes_nothing_and_says_so(self):
        self.refused("landlock", "Landlock: .*, and a container's seccomp profile that allows it: Operation not permitted")

    def test_where_seccomp_is_refused_a_worker_decodes_nothing_and_says_so(self):
        self.refused("seccomp", "seccomp: .*, and a container's seccomp profile that allows it: Operation not permitted")


if __name__ == "__main__":
    unittest.main()
