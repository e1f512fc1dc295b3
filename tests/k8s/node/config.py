"""Every address, path and configuration file of the node.

Paths are those inside the node: it has a mount namespace of its own, in which /run, /tmp, /var/lib and /var/log are folders
below the node's own folder (see init.py). That is why the programs can stay at their default paths, however many nodes run.
"""

import base64
import json
import secrets
import subprocess

POD_RANGE = "10.88.0.0/24"
SERVICE_RANGE = "10.99.0.0/24"
NODE_ADDRESS = "10.88.1.1"
DNS_ADDRESS = "10.99.0.10"
API_ADDRESS = "10.99.0.1"  # The first of SERVICE_RANGE, always the API server's.

# What build.sh makes, and what comes from Debian (tools/debian-packages.txt).
COREDNS = "coredns-v1.11.3"
METRICS_SERVER = "metrics-server-v0.7.2"
BUILT = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl", COREDNS, METRICS_SERVER, "pause.tar"]
INSTALLED = ["conntrack", "containerd", "ctr", "etcd", "ip", "iptables", "nft", "openssl", "runc"]

ETC = "/var/lib/node"  # Keys and configuration.
KUBECONFIG = f"{ETC}/kubeconfig"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def certificate(name, subject, *extensions):
    """A key and a certificate signed by the node's own authority."""
    added = [argument for extension in extensions for argument in ("-addext", extension)]
    signed = [] if name == "ca" else ["-CA", f"{ETC}/ca.crt", "-CAkey", f"{ETC}/ca.key"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                    "-subj", subject, "-keyout", f"{ETC}/{name}.key", "-out", f"{ETC}/{name}.crt", *signed, *added],
                   check=True, capture_output=True)


def keys():
    certificate("ca", "/CN=node")
    certificate("apiserver", "/CN=kube-apiserver", "basicConstraints=critical,CA:FALSE",
                f"subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
                f"IP:127.0.0.1,IP:{NODE_ADDRESS},IP:{API_ADDRESS}")
    certificate("aggregator", "/CN=aggregator", "basicConstraints=critical,CA:FALSE")
    subprocess.run(["openssl", "genrsa", "-out", f"{ETC}/accounts.key", "2048"], check=True, capture_output=True)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_all(node):
    """Everything the programs of the node called `node` read."""
    keys()
    token = secrets.token_hex(16)
    write(f"{ETC}/tokens.csv", f'{token},admin,admin,"system:masters"\n')
    with open(f"{ETC}/ca.crt", encoding="utf-8") as file:
        authority = file.read()
    write(KUBECONFIG, kubeconfig(token, authority))
    write(f"{ETC}/kubelet.yaml", KUBELET.format(cgroup_root=cgroup_root(node)))
    write(f"{ETC}/proxy.yaml", PROXY.format(node=node))
    write(f"{ETC}/containerd.toml", CONTAINERD)
    write(f"{ETC}/cni/10-bridge.conflist", json.dumps(BRIDGE))
    write(f"{ETC}/Corefile", COREFILE)


def cgroup_root(node):
    return f"/imgfleet-node-{node}"


def kubeconfig(token, authority):
    """JSON, which is YAML too; it stands alone, so that a client outside of the node's mounts can use it."""
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "node",
        "clusters": [{"name": "node", "cluster": {
            "server": "https://127.0.0.1:6443",
            "certificate-authority-data": base64.b64encode(authority.encode()).decode()}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "admin"}}]})


# Nobody but the pods and the processes of the node can reach its kubelet, hence no authentication there.
# The node measures what its pods may do, not whether its disk is large: eviction starts late.
KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
cgroupDriver: cgroupfs
cgroupRoot: {cgroup_root}
enforceNodeAllocatable: []
failSwapOn: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
evictionHard: {{memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}}
imageGCHighThresholdPercent: 100
resolvConf: ""
clusterDNS: [10.99.0.10]
clusterDomain: cluster.local
"""

PROXY = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: /var/lib/node/kubeconfig}}
mode: iptables
clusterCIDR: 10.88.0.0/24
hostnameOverride: {node}
conntrack: {{maxPerCore: 0}}
"""

# restrict_oom_score_adj: without CAP_SYS_RESOURCE, as in many sandboxes, the score may only be raised.
CONTAINERD = """\
version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/var/lib/node/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""

BRIDGE = {"cniVersion": "0.4.0", "name": "bridge", "plugins": [{
    "type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}

# There is no world outside: every other name is known not to exist, at once.
COREFILE = """\
cluster.local:53 {
  bind 10.88.1.1
  kubernetes cluster.local {
    kubeconfig /var/lib/node/kubeconfig
  }
}
.:53 {
  bind 10.88.1.1
  template IN ANY . {
    rcode NXDOMAIN
  }
}
"""
