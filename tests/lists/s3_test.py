#!/usr/bin/python3
"""Lists in an S3 bucket, read from a real S3 server that checks every signature."""

import json
import os
import subprocess
import sys
import unittest
import urllib.parse

sys.path[:0] = ["tests/cluster"]
import harness  # noqa: E402

ALLOW = "--allow-address=127.0.0.0/8"
KEY, SECRET = "AKIDTEST", "a-secret-that-nobody-shows"
NAMES = ("list.tsv", "a folder/li st+1&2=3%.tsv", "\u00fcml\u00e4ut/~x(1)'.tsv", ".hidden.tsv")


class S3ListTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = harness.Cluster()
        cls.addClassCleanup(lambda: cls.cluster.__exit__(None, None, None))
        cls.port = harness.free_port()
        store = os.path.join(cls.cluster.folder, "s3")
        os.mkdir(store)
        cls.server = harness.Process(
            "versitygw", [harness.tool("versitygw"), "--port", f"127.0.0.1:{cls.port}", "--iam-dir", cls.cluster.folder,
                          "posix", store],
            os.path.join(cls.cluster.folder, "versitygw.log"),
            extra_environment={"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET})
        cls.cluster.processes["versitygw"] = cls.server
        harness.until(lambda: cls.put("", b"") == "200", "the S3 server")
        for name in NAMES:
            body = f"id\turl\n{'x' * 10}\tnowhere:1\n".encode()
            assert cls.put("/" + urllib.parse.quote(name, safe="/~"), body) == "200", name

    @classmethod
    def put(cls, path, body):
        """With curl's own signing, which is right for plain requests; so ours is not tested by itself."""
        done = subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "--aws-sigv4", "aws:amz:us-east-1:s3",
             "--user", f"{KEY}:{SECRET}", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--data-binary", "@-", "-H",
             "Content-Type:", f"http://127.0.0.1:{cls.port}/lists{path}"], input=body, stdout=subprocess.PIPE, check=False)
        return done.stdout.decode()

    def info(self, name, secret=SECRET):
        environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": secret} if secret else {}
        return subprocess.run(
            [harness.binary("imgfleet"), "info", f"s3://lists/{name}", ALLOW, f"--s3-endpoint=http://127.0.0.1:{self.port}"],
            env={**harness.environment(), **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)

    def test_lists_of_any_name_are_read(self):
        for name in NAMES:
            done = self.info(name)
            self.assertEqual(done.returncode, 1, (name, done.stderr))
            self.assertEqual(json.loads(done.stdout)["id"], "x" * 10)

    def test_a_wrong_key_is_refused_and_not_shown(self):
        for secret in ("another-secret", ""):
            done = self.info("list.tsv", secret)
            self.assertEqual((done.returncode, done.stdout), (3, b""))
            self.assertRegex(done.stderr, b"the server answers 40[03]")  # Without a signature this server says 400.
            self.assertNotIn(b"another-secret", done.stderr)

    def test_a_job_names_a_credential_that_the_coordinator_holds(self):
        folder = os.path.join(self.cluster.folder, "credentials")
        os.mkdir(folder)
        with open(os.path.join(folder, "team-a"), "w", encoding="utf-8") as file:
            file.write(f"# for lists\naccess_key_id = {KEY}\nsecret_access_key = {SECRET}\n")
        self.cluster.start_coordinator(ALLOW, f"--s3-endpoint=http://127.0.0.1:{self.port}", f"--credentials={folder}")
        self.cluster.start_worker("w1")

        def run(credential):
            return harness.run_cli(["info", "s3://lists/list.tsv", f"--server={self.cluster.coordinator_address()}",
                                    f"--credential={credential}"])
        self.assertEqual(run("team-a").returncode, 1)
        for name, message in (("team-b", b"team-b"), ("../team-a", b"letters"), ("", b"the server answers 40")):
            done = run(name)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(message, done.stderr)
        for root, _, files in os.walk(self.cluster.folder):
            for name in files:
                with open(os.path.join(root, name), "rb") as file:
                    if root != folder:
                        self.assertNotIn(SECRET.encode(), file.read(), name)


if __name__ == "__main__":
    unittest.main()
