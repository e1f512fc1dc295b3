#!/usr/bin/python3
"""Prints the secrets that tests/k8s/overlays/prod needs, with a certificate authority and a password of their own:
imgfleet-postgresql, as k8s/overlays/prod wants it, and postgresql-server, with which the server shows who it is."""

import json
import pathlib
import secrets
import subprocess
import tempfile

HOST = "postgresql"  # The Service's name, which the certificate is for.


def certificates(folder):
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    subprocess.run(["openssl", "req", "-x509", *new, "-subj", "/CN=test database CA", "-keyout", "ca.key", "-out", "ca.crt"],
                   cwd=folder, check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-x509", *new, "-subj", f"/CN={HOST}", "-CA", "ca.crt", "-CAkey", "ca.key",
                    "-addext", f"subjectAltName=DNS:{HOST}", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", "tls.key", "-out", "tls.crt"], cwd=folder, check=True, capture_output=True)
    return {name: pathlib.Path(folder, name).read_text(encoding="ascii") for name in ("ca.crt", "tls.crt", "tls.key")}


def made():
    with tempfile.TemporaryDirectory() as folder:
        made_here = certificates(folder)
    contents = {
        "imgfleet-postgresql": {"store": f"postgresql://imgfleet@{HOST}/postgres", "password": secrets.token_urlsafe(),
                                "ca.crt": made_here["ca.crt"]},
        "postgresql-server": {name: made_here[name] for name in ("tls.crt", "tls.key")},
    }
    return [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
            for name, data in contents.items()]


if __name__ == "__main__":
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": made()}))
