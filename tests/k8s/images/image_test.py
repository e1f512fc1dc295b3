#!/usr/bin/python3
"""The images without building any: deploy/root.sh lays out each role's root as deploy/Containerfile has it do, and the programs run in
there with nothing else, all of it read-only, as the user that the manifests name."""

import glob
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path[:0] = ["tests/cluster", "tests/origin", os.path.dirname(os.path.abspath(__file__))]
sys.path += glob.glob(os.path.join(os.environ.get("IMGFLEET_CACHE", ""), "venv/lib/python3*/site-packages"))
import containerfile  # noqa: E402
import harness  # noqa: E402
import pyarrow  # noqa: E402
import yaml  # noqa: E402
from pyarrow import parquet  # noqa: E402

# The checkout: its Containerfile and manifests are read as they are there.
TOP = pathlib.Path(os.path.realpath(__file__)).parents[3]
TEXT = (TOP / "deploy/Containerfile").read_text("utf-8")
STAGES = containerfile.parse(TEXT)
JAIL = str(TOP / "tests/k8s/images/jail.sh")
SHELLS = re.compile(r"(^|[^a-z])(ba|da|z|k|c|a)?sh$|busybox|toybox|perl|python|^(apt.*|dpkg|ld)$")


def containers():
    """Of the base's pods: program -> container, its pod's settings filled in."""
    found = {}
    for path in sorted((TOP / "k8s/base").glob("*.yaml")):
        for each in yaml.safe_load_all(path.read_text("utf-8")):
            pod = (each or {}).get("spec", {}).get("template", {}).get("spec", {})
            for container in pod.get("containers", []):
                context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
                found[container["command"][0]] = {**container, "securityContext": context}
    return found


def path_of(label):
    return label.removeprefix("//").replace(":", "/")


class ImageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="imgfleet-image.", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.roots, cls.programs = {}, {}
        for role, _, labels in containerfile.roots(STAGES):
            root = cls.roots[role] = os.path.join(cls.folder, role)
            subprocess.run([TOP / "deploy/root.sh", root, *map(path_of, labels)], check=True)
            cls.programs[role] = sorted(os.path.basename(path_of(label)) for label in labels)
        able = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True, check=False)
        cls.unable = able.stderr.decode() if able.returncode else ""

    def jailed(self, role, *command):
        if self.unable:
            self.skipTest(f"no namespace is to be had here: {self.unable}")
        return subprocess.run([JAIL, self.roots[role], "", *command], check=True, capture_output=True, text=True).stdout

    def files(self, role):
        """Everything inside, as (path from its root, lstat)."""
        top = self.roots[role]
        for folder, folders, names in os.walk(top):
            for name in folders + names:
                path = os.path.join(folder, name)
                yield os.path.relpath(path, top), os.lstat(path)

    def test_each_program_runs_and_says_its_version(self):
        for role, programs in self.programs.items():
            for program in programs:
                self.assertRegex(self.jailed(role, f"/usr/bin/{program}", "--version"), rf"^{program} \d+\.\d+\.\d+\n$")

    def test_all_that_they_load_is_inside_and_no_other_library_is(self):
        for role, programs in self.programs.items():
            loaded = set()
            for program in programs:
                for line in self.jailed(role, "/lib64/ld-linux-x86-64.so.2", "--list", f"/usr/bin/{program}").splitlines():
                    self.assertNotIn("not found", line)
                    if path := re.search(r"(/\S+) \(0x", line):
                        loaded.add(os.path.basename(path.group(1)))
            libraries = {os.path.basename(path) for path, _ in self.files(role) if re.search(r"\.so(\.|$)", path)}
            self.assertEqual(libraries, loaded, role)

    def test_there_is_no_shell_nor_a_way_to_more_rights(self):
        for role, programs in self.programs.items():
            self.assertEqual(sorted(os.listdir(os.path.join(self.roots[role], "usr/bin"))), programs)
            for path, status in self.files(role):
                self.assertFalse(status.st_mode & (stat.S_ISUID | stat.S_ISGID), path)
                if stat.S_ISLNK(status.st_mode):
                    continue
                if stat.S_ISREG(status.st_mode):
                    self.assertNotRegex(os.path.basename(path), SHELLS)
                if path != "tmp":
                    self.assertFalse(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH), f"{path} is writable by others")
                if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IXUSR:
                    self.assertRegex(path, r"^usr/bin/imgfleet-|^usr/lib64/ld-linux", "a program that nobody asked for")

    def test_programs_are_stripped(self):
        for role, programs in self.programs.items():
            for program in programs:
                sections = subprocess.run(["readelf", "--section-headers", "--wide", f"{self.roots[role]}/usr/bin/{program}"], check=True,
                                          capture_output=True, text=True).stdout
                self.assertIsNone(re.search(r"\.(symtab|debug_)", sections), program)

    def test_certificate_authorities_lie_where_the_libraries_look(self):
        for role, root in self.roots.items():
            built_in = set()
            for library in glob.glob(f"{root}/usr/lib/*/libcurl.so.*") + glob.glob(f"{root}/usr/lib/*/libcrypto.so.*"):
                built_in |= set(re.findall(rb"\0(/[a-z/]+/ssl(?:/certs/ca-certificates.crt)?)\0", pathlib.Path(library).read_bytes()))
            self.assertIn(b"/usr/lib/ssl", built_in, role)
            for path in map(bytes.decode, built_in):
                if path.endswith(".crt"):
                    self.assertGreater(pathlib.Path(root + path).read_text("ascii").count("BEGIN CERTIFICATE"), 50, role)
                else:  # OpenSSL's own folder.
                    self.assertEqual({name: os.readlink(f"{root}{path}/{name}") for name in os.listdir(root + path)},
                                     {"certs": "/etc/ssl/certs", "openssl.cnf": "/etc/ssl/openssl.cnf"})
                    self.assertTrue(os.path.isfile(root + "/etc/ssl/openssl.cnf"))

    def test_licences_and_package_names_lie_beside_what_is_shipped(self):
        for role, root in self.roots.items():
            packages = set(os.listdir(f"{root}/var/lib/dpkg/status.d"))
            self.assertEqual(packages, set(os.listdir(f"{root}/usr/share/doc")))
            self.assertLessEqual({"libc6", "libstdc++6", "libgrpc++1.51", "libssl3", "ca-certificates", "libcli11-dev"}, packages)
            for package in packages:
                self.assertGreater(os.path.getsize(f"{root}/usr/share/doc/{package}/copyright"), 100, package)
            arrow = f"{root}/usr/lib/imgfleet"
            self.assertEqual(os.path.isdir(arrow), "imgfleet-parquet" in self.programs[role])
            if os.path.isdir(arrow):
                self.assertLessEqual({"LICENSE.txt", "NOTICE.txt"}, set(os.listdir(f"{arrow}/licenses")))

    def test_a_fleet_of_such_roots_reads_lists_and_measures_pixels_as_one_outside_does(self):
        if self.unable:
            self.skipTest(f"no namespace is to be had here: {self.unable}")
        with harness.Cluster() as cluster:
            cluster.start_origin("--images", "40", "--changing", "0", "--flaky", "0", "--missing", "0", "--html", "0")
            outside = harness.binary
            try:
                harness.binary = lambda role: self.jail_of(role, cluster.folder)
                cluster.start_coordinator(f"--spool={cluster.folder}")
                worker = cluster.start_worker("worker")
                cluster.start_gateway()
            finally:
                harness.binary = outside
            # Ready, and nothing is lacking: the decoder has locked itself in.
            self.assertEqual(harness.urllib.request.urlopen(f"http://127.0.0.1:{worker.admin_port}/readyz").read(), b"ready\n")
            urls = [f"http://127.0.0.1:{cluster.origin['http']}/{i}.jpg" for i in range(40)]
            inside = self.outcomes(cluster, {"urls": urls, "depth": "pixels"})
            done = harness.run_cli(["info", "-", "--allow-address=127.0.0.0/8", "--depth=pixels"], "\n".join(urls).encode())
            expected = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual([(each["url"], each.get("pixels")) for each in inside],
                             [(each["url"], each.get("pixels")) for each in expected])
            self.assertGreater(sum("phash" in each.get("pixels", {}) for each in inside), 20, inside[0])

            parquet.write_table(pyarrow.table({"url": urls}), os.path.join(cluster.lists, "list.parquet"))
            self.assertEqual([each["url"] for each in self.outcomes(cluster, {"filepath": "list.parquet"})], urls)

    def outcomes(self, cluster, submission):
        status, headers, answer = cluster.post("/api/v1/jobs", submission)
        self.assertEqual(status, 202, answer)
        harness.until(lambda: cluster.get_json(headers["Location"])["state"] == "COMPLETED", "the job to end")
        _, _, lines = cluster.http("GET", headers["Location"] + "/results", headers={"Accept": "application/x-ndjson"})
        return [json.loads(line) for line in lines.splitlines()]

    def jail_of(self, role, folder):
        """A program that is that role's inside its root; the worker has no folder to write to."""
        script = pathlib.Path(self.folder, f"run-{role}")
        writable = folder if role != "worker" else ""
        os.makedirs(self.roots[role] + folder, exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec {JAIL} {self.roots[role]} "{writable}" /usr/bin/imgfleet-{role} "$@"\n', "utf-8")
        script.chmod(0o755)
        return str(script)


class ContainerfileTest(unittest.TestCase):
    def problems(self, before="", after="", started=None):
        self.assertIn(before, TEXT)
        version = subprocess.run([harness.binary("worker"), "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
        return "\n".join(containerfile.problems(TEXT.replace(before, after) if before else TEXT, started or containers(), version))

    def test_it_says_what_the_manifests_say(self):
        self.assertEqual(self.problems(), "")

    def test_what_would_be_wrong_is_noticed(self):
        self.assertIn("exposes [9093]", self.problems("EXPOSE 9092", "EXPOSE 9093"))
        self.assertIn("runs as", self.problems("USER 65532:65532", "USER 0:0"))
        self.assertIn("not from scratch", self.problems("FROM scratch AS worker", "FROM build AS worker"))
        self.assertIn("entry point", self.problems("imgfleet-gateway\"]", "imgfleet-getaway\"]"))
        self.assertIn("version", self.problems('version="0.1.0"', 'version="0.0.9"'))
        self.assertIn("is not what it copies", self.problems("--from=build /image/worker/ /", "--from=build /image/gateway/ /"))
        self.assertIn("//decoder:imgfleet-decoder is not built", self.problems(" //decoder:imgfleet-decoder", ""))
        started = containers()
        started["imgfleet-worker"]["image"] = "imgfleet"
        self.assertIn("name its image imgfleet", self.problems(started=started))
        self.assertIn("no stage is of imgfleet-worker", self.problems("AS worker", "AS wrker"))


if __name__ == "__main__":
    unittest.main()
