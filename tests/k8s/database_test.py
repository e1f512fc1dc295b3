#!/usr/bin/python3
"""A coordinator, started just as prod says, takes the database that the secret names: over TLS, with the password, and only the server
that `ca.crt` vouches for under its own name. The secret is the one of tests/k8s/overlays/prod."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), "tests/cluster", "tests/k8s/overlays/prod"]
import make_secrets  # noqa: E402
import manifests  # noqa: E402
import postgres  # noqa: E402

PROGRAM = os.path.abspath("coordinator/imgfleet-coordinator")
PATIENCE = 30


class Coordinator:
    """The container of prod, with the secret's files below `folder`, and a log to read."""

    def __init__(self, folder, secret):
        template = manifests.named(manifests.rendered()["prod"], "Deployment/imgfleet-coordinator")["spec"]["template"]["spec"]
        container, = template["containers"]
        volume, = (each["secret"] for each in template["volumes"] if "secret" in each)
        mount, = (each for each in container["volumeMounts"] if each["mountPath"].startswith("/etc"))
        for item in volume["items"]:
            if item["key"] in secret:
                with open(os.path.join(folder, item["path"]), "w", encoding="ascii") as file:
                    file.write(secret[item["key"]])

        def value(variable):
            if "value" in variable:
                return variable["value"].replace(mount["mountPath"], folder)
            reference = variable["valueFrom"]["secretKeyRef"]
            self.named = reference["name"]
            return secret[reference["key"]]
        environment = {"PATH": "/usr/bin", "HOME": folder, **{each["name"]: value(each) for each in container["env"]}}
        self.log = os.path.join(folder, "log")
        with open(self.log, "wb") as out:
            arguments = [argument.replace("=/tmp", f"={folder}") for argument in container["args"]]
            self.popen = subprocess.Popen([PROGRAM, *arguments], stdout=out, stderr=out, env=environment)

    def says(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in (said := self.read()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not said: {text}\n{said}")
            time.sleep(0.05)
        return said

    def read(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def end(self):
        self.popen.terminate()
        self.popen.wait(PATIENCE)


class DatabaseTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.secrets = {each["metadata"]["name"]: each["stringData"] for each in make_secrets.made()}
        shown = os.path.join(folder.name, "server")
        os.mkdir(shown, 0o755)
        for name, text in cls.secrets["postgresql-server"].items():
            with open(os.path.join(shown, name), "w", encoding="ascii") as file:
                file.write(text)
        cls.server = postgres.Server(folder.name, settings=f"""
            ssl_cert_file = '{shown}/tls.crt'\nssl_key_file = '{folder.name}/postgres/tls.key'""")
        # A key has to belong to the server's own user.
        key = os.path.join(cls.server.folder, "tls.key")
        os.rename(os.path.join(shown, "tls.key"), key)
        os.chmod(key, 0o600)
        if cls.server.user:
            os.chown(key, cls.server.user.pw_uid, cls.server.user.pw_gid)
        cls.server.start()
        cls.addClassCleanup(cls.server.kill)
        cls.server.query(f"CREATE ROLE imgfleet SUPERUSER LOGIN PASSWORD '{cls.secrets['imgfleet-postgresql']['password']}'")
        cls.server.query("ALTER SYSTEM SET ssl = on")
        cls.take("hostssl all imgfleet all scram-sha-256")

    @classmethod
    def take(cls, rule):
        """Lets in whom the rule names, besides the test itself."""
        with open(os.path.join(cls.server.folder, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write(f"host all tester all trust\n{rule}\n")
        cls.server.query("SELECT pg_reload_conf()")

    def start(self, **changes):
        """With the secret, but for `changes`; its address is this server's."""
        secret = {**self.secrets["imgfleet-postgresql"], **changes}
        query = "&" if "?" in secret["store"] else "?"
        secret["store"] = secret["store"].replace("@postgresql/", f"@postgresql:{self.server.port}/") + query + "hostaddr=127.0.0.1"
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        coordinator = Coordinator(folder.name, secret)
        self.addCleanup(coordinator.end)
        self.assertEqual(coordinator.named, "imgfleet-postgresql")
        return coordinator

    def test_it_is_served_over_tls_with_the_password_and_shows_neither(self):
        coordinator = self.start()
        said = coordinator.says("listening")
        self.assertNotIn(self.secrets["imgfleet-postgresql"]["password"], said)
        encrypted = self.server.query("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'imgfleet'")
        self.assertEqual(encrypted, ["t"])

    def test_it_refuses_a_server_that_another_authority_vouches_for(self):
        other, = (each["stringData"]["ca.crt"] for each in make_secrets.made() if "ca.crt" in each["stringData"])
        self.start(**{"ca.crt": other}).says("certificate verify failed")

    def test_it_refuses_a_server_of_another_name(self):
        store = self.secrets["imgfleet-postgresql"]["store"].replace("@postgresql/", "@postgresql.example/")
        coordinator = self.start(store=store.replace("@postgresql.example/", f"@postgresql.example:{self.server.port}/"))
        coordinator.says("does not match host name")

    def test_it_believes_nobody_without_ca_crt(self):
        secret = {name: value for name, value in self.secrets["imgfleet-postgresql"].items() if name != "ca.crt"}
        self.secrets, kept = {**self.secrets, "imgfleet-postgresql": secret}, self.secrets
        self.addCleanup(setattr, self, "secrets", kept)
        self.start().says("ca.crt")

    def test_a_wrong_password(self):
        self.start(password="wrong").says("password authentication failed")

    def test_what_the_store_says_goes_before(self):
        self.take("host all imgfleet all scram-sha-256")
        self.addCleanup(self.take, "hostssl all imgfleet all scram-sha-256")
        self.start(store=self.secrets["imgfleet-postgresql"]["store"] + "?sslmode=disable").says("listening")


if __name__ == "__main__":
    unittest.main()
