#!/usr/bin/python3
"""The first process of a node: process 1 of its PID namespace, in a network and a mount namespace of its own.

    init.py NAME FOLDER REPORT     (node.py starts it)

Starts every part of Kubernetes, then writes one line to the file descriptor REPORT: "ready", or what went wrong. When this
process ends, the kernel ends all others of the node, pods included, and takes mounts, interfaces and rules away with them;
of the node nothing is left but FOLDER and the cgroups, which node.py removes.
"""

import glob
import json
import os
import signal
import subprocess
import sys
import time

import config

HERE = os.path.dirname(os.path.abspath(__file__))
# Where the programs and this folder are found inside.
BINARIES = "/run/node/bin"
CHECKOUT = "/run/node/checkout"
# What the programs write to, each a folder of the node's own.
PRIVATE = {"/run": "run", "/tmp": "tmp", "/var/lib": "lib", "/var/log": "log"}
VOLUMES = 24
PATIENCE_SECONDS = 120


class Failed(Exception):
    pass


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def kubectl(*arguments, **options):
    return run(f"{BINARIES}/kubectl", "--kubeconfig", config.KUBECONFIG, *arguments, **options)


def wait_for(what, check):
    """Repeats `check` until it raises no Failed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return check()
        except Failed as why:
            if time.monotonic() > deadline:
                raise Failed(f"no {what} after {PATIENCE_SECONDS} s: {why}") from None
            time.sleep(0.1)


def mount_private_folders(folder):
    run("mount", "-t", "proc", "proc", "/proc")
    mounts = [(os.path.join(folder, name), target) for target, name in PRIVATE.items()]
    mounts += [(os.environ["IMGFLEET_CACHE"] + "/kubernetes-1.31.4", BINARIES), (HERE, CHECKOUT)]
    for source in [os.path.join(folder, name) for name in PRIVATE.values()]:
        os.makedirs(source, exist_ok=True)
    # All are opened first: each may lie below a path that another is about to cover.
    sources = [(os.open(source, os.O_PATH), target) for source, target in mounts]
    for descriptor, target in sources:
        os.makedirs(target, exist_ok=True)
        run("mount", "--bind", f"/proc/self/fd/{descriptor}", target, pass_fds=[descriptor])
        os.close(descriptor)
    os.makedirs(f"{config.ETC}/cni")
    os.makedirs("/run/containerd")


def make_network():
    """One address for the node, and a default route that leads nowhere: no packet leaves the namespace."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "nowhere")
    run("ip", "link", "set", "nowhere", "up")
    run("ip", "address", "add", f"{config.NODE_ADDRESS}/24", "dev", "uplink")
    run("ip", "link", "set", "uplink", "up")
    run("ip", "route", "add", "default", "dev", "uplink")
    config.write("/proc/sys/net/ipv4/ip_forward", "1")
    # What passes between two pods on the bridge must see the rules for Services and policies, too.
    if not os.path.exists("/proc/sys/net/bridge"):
        run("modprobe", "br_netfilter")
    config.write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1")


def make_cgroups(node):
    """The group below which the kubelet makes those of the pods, in each hierarchy (one in version 2)."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        for controller in ("cpu", "cpuset", "io", "memory", "pids"):
            try:
                config.write("/sys/fs/cgroup/cgroup.subtree_control", f"+{controller}")
            except OSError:  # The kubelet will say which one it misses.
                pass
        os.makedirs("/sys/fs/cgroup" + config.cgroup_root(node), exist_ok=True)
    else:
        for hierarchy in glob.glob("/sys/fs/cgroup/*/cgroup.procs"):
            os.makedirs(os.path.dirname(hierarchy) + config.cgroup_root(node), exist_ok=True)


class Parts:
    """The programs of the node, by process id; their output goes to log/NAME.log."""

    def __init__(self):
        self.names = {}

    def start(self, name, *command):
        with open(f"/var/log/{name}.log", "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=config.ETC)
        self.names[process.pid] = name

    def start_control_plane(self):
        self.start("etcd", "etcd", "--data-dir", "/var/lib/etcd", "--listen-client-urls", "http://127.0.0.1:2379",
                   "--advertise-client-urls", "http://127.0.0.1:2379")
        self.start("apiserver", f"{BINARIES}/kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
                   "--tls-cert-file=apiserver.crt", "--tls-private-key-file=apiserver.key",
                   "--service-account-key-file=accounts.key", "--service-account-signing-key-file=accounts.key",
                   "--service-account-issuer=https://kubernetes.default.svc", "--token-auth-file=tokens.csv",
                   "--client-ca-file=ca.crt", "--authorization-mode=RBAC", "--allow-privileged",
                   f"--advertise-address={config.NODE_ADDRESS}",
                   f"--service-cluster-ip-range={config.SERVICE_RANGE}", "--kubelet-preferred-address-types=InternalIP",
                   # With these the API server can hand on requests, to the metrics server.
                   "--requestheader-client-ca-file=ca.crt", "--requestheader-allowed-names=aggregator",
                   "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
                   "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                   "--proxy-client-cert-file=aggregator.crt", "--proxy-client-key-file=aggregator.key")
        wait_for("API server", lambda: kubectl("get", "--raw", "/readyz"))
        self.start("controllers", f"{BINARIES}/kube-controller-manager", "--kubeconfig", config.KUBECONFIG,
                   "--service-account-private-key-file=accounts.key", "--root-ca-file=ca.crt", "--leader-elect=false",
                   # As often as there can be anything new (see metrics).
                   "--horizontal-pod-autoscaler-sync-period=10s")
        self.start("scheduler", f"{BINARIES}/kube-scheduler", "--kubeconfig", config.KUBECONFIG, "--leader-elect=false")

    def start_node(self, node):
        wait_for("containerd", lambda: run("ctr", "-a", config.CONTAINERD_SOCKET, "version"))
        run("ctr", "-a", config.CONTAINERD_SOCKET, "-n", "k8s.io", "images", "import", f"{BINARIES}/pause.tar")
        self.start("kubelet", f"{BINARIES}/kubelet", "--config", "kubelet.yaml", "--kubeconfig", config.KUBECONFIG,
                   "--hostname-override", node, "--node-ip", config.NODE_ADDRESS)
        self.start("proxy", f"{BINARIES}/kube-proxy", "--config", "proxy.yaml")
        self.start("dns", f"{BINARIES}/{config.COREDNS}", "-conf", "Corefile")
        self.start("metrics", f"{BINARIES}/{config.METRICS_SERVER}", "--kubeconfig", config.KUBECONFIG,
                   "--authentication-kubeconfig", config.KUBECONFIG, "--authorization-kubeconfig", config.KUBECONFIG,
                   "--secure-port=4443", "--cert-dir=metrics", "--kubelet-insecure-tls",
                   "--kubelet-preferred-address-types=InternalIP", "--metric-resolution=10s", "--kubelet-request-timeout=5s")
        self.start("policies", "/usr/bin/python3", f"{CHECKOUT}/enforcer.py")


def volume(node, number):
    path = f"/var/lib/volumes/{number}"
    os.makedirs(path)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"local-{number}"},
            "spec": {"capacity": {"storage": "100Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                     "persistentVolumeReclaimPolicy": "Retain", "local": {"path": path},
                     "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}}}


def apply_manifests(node):
    volumes = {"apiVersion": "v1", "kind": "List", "items": [volume(node, number) for number in range(VOLUMES)]}
    config.write(f"{config.ETC}/volumes.json", json.dumps(volumes))
    # Against schemas that the API server has just begun to serve, validation would fail now and then.
    kubectl("apply", "--validate=false", "-f", f"{CHECKOUT}/manifests", "-f", f"{config.ETC}/volumes.json")


def start(node, folder, parts):
    mount_private_folders(folder)
    make_network()
    make_cgroups(node)
    config.write_all(node)
    parts.start("containerd", "containerd", "-c", f"{config.ETC}/containerd.toml")
    parts.start_control_plane()
    parts.start_node(node)
    apply_manifests(node)
    wait_for("node that is Ready", lambda: kubectl("wait", "--for=condition=Ready", "--timeout=5s", f"node/{node}"))
    wait_for("metrics server", lambda: kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1"))
    wait_for("service account", lambda: kubectl("get", "serviceaccount", "default"))


def main():
    node, folder, report = sys.argv[1], sys.argv[2], int(sys.argv[3])
    # Whoever called node.py may have had its terminal closed, and process 1 has no default handlers to end by.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parts = Parts()
    began = time.monotonic()
    try:
        start(node, folder, parts)
        said = "ready"
    except (Failed, OSError, subprocess.SubprocessError) as why:
        said = f"{why}; see {folder}/log/*.log"
    print(f"{said} after {time.monotonic() - began:.1f} s", flush=True)
    if said == "ready":
        config.write("/run/ready", "")
    try:
        os.write(report, said.encode())
    except BrokenPipeError:  # node.py was killed; the next one finds the node by its folder.
        pass
    os.close(report)
    if said != "ready":
        sys.exit(1)
    while True:  # Reap whatever ends: process 1 inherits every orphan.
        pid, status = os.wait()
        if pid in parts.names:
            print(f"{parts.names.pop(pid)} ended with {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
