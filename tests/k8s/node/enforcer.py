#!/usr/bin/python3
"""Keeps the rules of nftables what the cluster's NetworkPolicies ask for (policies.py); a process of the node.

The network plugin of the node, Debian's bridge, accepts NetworkPolicies and ignores them; plugins that enforce them are to be
had as images from registries only.
"""

import base64
import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import config
import policies

WATCHED = {"policies": "/apis/networking.k8s.io/v1/networkpolicies", "pods": "/api/v1/pods", "namespaces": "/api/v1/namespaces"}


class Cluster:
    """The objects of the kinds in WATCHED as the API server last told them, by kind and uid."""

    def __init__(self):
        with open(config.KUBECONFIG, encoding="utf-8") as file:
            access = json.load(file)
        self.server = access["clusters"][0]["cluster"]["server"]
        self.headers = {"Authorization": f"Bearer {access['users'][0]['user']['token']}"}
        authority = base64.b64decode(access["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        self.tls = ssl.create_default_context(cadata=authority)
        self.lock = threading.Lock()
        self.objects = {}
        self.changed = threading.Event()

    def open(self, path):
        return urllib.request.urlopen(urllib.request.Request(self.server + path, headers=self.headers), context=self.tls, timeout=600)

    def follow(self, kind):
        """Lists, then watches until the server ends that, which it does every few minutes."""
        with self.open(WATCHED[kind]) as reply:
            listing = json.load(reply)
        self.update(kind, lambda _: {item["metadata"]["uid"]: item for item in listing["items"]})
        with self.open(f"{WATCHED[kind]}?watch=1&resourceVersion={listing['metadata']['resourceVersion']}") as events:
            for line in events:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                self.update(kind, lambda objects: self.after(objects, event))

    @staticmethod
    def after(objects, event):
        uid = event["object"]["metadata"]["uid"]
        rest = {key: value for key, value in objects.items() if key != uid}
        return rest if event["type"] == "DELETED" else {**rest, uid: event["object"]}

    def update(self, kind, change):
        with self.lock:
            self.objects[kind] = change(self.objects.get(kind, {}))
        self.changed.set()

    def follow_always(self, kind):
        while True:
            try:
                self.follow(kind)
            except (OSError, ValueError) as why:
                print(f"{kind}: {why}; listed again in a second", flush=True)
                time.sleep(1)

    def ruleset(self):
        """None until all kinds have been listed."""
        with self.lock:
            if len(self.objects) < len(WATCHED):
                return None
            kinds = {kind: list(objects.values()) for kind, objects in self.objects.items()}
        labels = {item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in kinds["namespaces"]}
        return policies.ruleset(kinds["policies"], kinds["pods"], labels)


def main():
    cluster = Cluster()
    for kind in WATCHED:
        threading.Thread(target=cluster.follow_always, args=[kind], daemon=True).start()
    enforced = None
    while True:
        cluster.changed.wait()
        cluster.changed.clear()
        wanted = cluster.ruleset()
        if wanted is None or wanted == enforced:
            continue
        done = subprocess.run(["nft", "-f", "-"], input=wanted, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            print(f"nft: {done.stdout}\n{wanted}", flush=True)
            sys.exit(1)
        enforced = wanted


if __name__ == "__main__":
    main()
