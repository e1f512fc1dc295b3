#!/usr/bin/python3
"""A real Kubernetes 1.31.4, as one node in namespaces of its own, for tests. Root, on Debian 12.

    node.py build           builds what it runs: the same as tools/setup.sh k8s
    node.py up              starts etcd, API server, controllers, scheduler, DNS, proxy, containerd, kubelet; Ready in 10 s
    node.py down            ends all of it and leaves nothing behind, whatever state it is in
    node.py load FILE...    OCI or docker archives of images into the node (imagePullPolicy: Never or IfNotPresent)
    node.py kubectl ...     kubectl against it
    node.py ctr ...         containerd's own client, for what Kubernetes does not offer: killing one container
    node.py exec CMD...     a command in the node's network: it reaches pods and services by address

KUBE_NODE names the node (default: imgfleet); nodes of different names run side by side and see nothing of each other.
IMGFLEET_CACHE is where the programs lie (default: ~/.cache/imgfleet). A node's files and logs are in
/var/tmp/imgfleet-node/NAME. No packet leaves the node's network.
"""

import fcntl
import glob
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import config

HERE = os.path.dirname(os.path.abspath(__file__))
NODES = "/var/tmp/imgfleet-node"
CACHE = os.environ.setdefault("IMGFLEET_CACHE", os.path.expanduser("~/.cache/imgfleet"))
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"  # Which `su` leaves away.
KUBECTL = f"{CACHE}/kubernetes-1.31.4/kubectl"


def fail(message):
    sys.exit(f"node: {message}")


class Node:
    def __init__(self, name):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", name):
            fail(f"KUBE_NODE={name}: a name of lower-case letters, digits and inner hyphens, at most 30 of them")
        self.name = name
        self.folder = f"{NODES}/{name}"

    def keeper(self):
        """The process that keeps the node: its namespaces are the node's, and the node ends with it. None if not up."""
        try:
            with open(f"{self.folder}/pid", encoding="utf-8") as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                return pid if self.folder in file.read().split("\0") else None
        except (OSError, ValueError):
            return None

    def processes(self):
        """The keeper and init.py, also of an `up` that was killed at any moment; all others of the node end with init.py."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    arguments = file.read().split("\0")
            except OSError:  # It has just ended.
                continue
            if self.folder in arguments and any(argument.endswith("/init.py") for argument in arguments):
                found.append(int(path.split("/")[2]))
        return found

    def up(self):
        missing = [f"{CACHE}/kubernetes-1.31.4/{name}" for name in config.BUILT]
        missing = [path for path in missing if not os.path.exists(path)] + [name for name in config.INSTALLED if not shutil.which(name)]
        if missing:
            fail(f"there is no {missing[0]}. Run: tools/setup.sh k8s")
        if self.keeper() and os.path.exists(f"{self.folder}/run/ready"):
            print(f"node {self.name} is up already")
            return
        self.down()
        os.makedirs(self.folder, mode=0o700)
        reading, report = os.pipe()
        # The process id is written before there is anything to clean up. unshare keeps the namespaces, and init.py in them
        # is killed with it.
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "/usr/bin/python3", f"{HERE}/init.py",
                   self.name, self.folder, str(report)]
        with open(f"{self.folder}/node.log", "ab") as log:
            subprocess.Popen(["sh", "-c", 'echo $$ > "$0/pid" && exec "$@"', self.folder, *command], pass_fds=[report],
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        os.close(report)
        try:
            # One write, or the end of all its writers: init.py, and unshare that ends when init.py does.
            said = os.read(reading, 65536).decode()
        except BaseException:
            self.down()
            raise
        if said != "ready":
            fail(f"{self.name} did not start: {said or f'see {self.folder}/node.log'}. Logs stay until: node.py down")

    def down(self):
        # Again, as one of them may just have been about to start the next.
        while processes := self.processes():
            end(processes)
        # The kernel is a moment late with cgroups of processes that have ended.
        deadline = time.monotonic() + 10
        while left := self.remove():
            if time.monotonic() > deadline:
                fail(f"cannot remove {left}")
            time.sleep(0.05)

    def remove(self):
        """Removes the folder and the cgroups; what is still left, or None."""
        for top in glob.glob(f"/sys/fs/cgroup{config.cgroup_root(self.name)}") + \
                glob.glob(f"/sys/fs/cgroup/*{config.cgroup_root(self.name)}"):
            for path, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    return path
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.folder if os.path.exists(self.folder) else None

    def inside(self, *command):
        keeper = self.keeper()
        if not keeper:
            fail(f"{self.name} is not up. Run: node.py up")
        # The network only: `ip netns exec` and the like would hide the caller's files and the cgroups.
        return ["nsenter", f"--net=/proc/{keeper}/ns/net", *command]

    def kubectl(self, *arguments):
        return self.inside(KUBECTL, "--kubeconfig", f"{self.folder}/lib/node/kubeconfig", *arguments)

    def ctr(self, *arguments):
        return self.inside("ctr", "-a", f"{self.folder}{config.CONTAINERD_SOCKET}", "-n", "k8s.io", *arguments)


def end(pids):
    """Kills the processes and waits until they are gone: process 1 of a PID namespace goes last of all in it."""
    descriptors = []
    for pid in pids:
        try:
            descriptors.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
        try:
            signal.pidfd_send_signal(descriptors[-1], signal.SIGKILL)
        except ProcessLookupError:
            pass
    for descriptor in descriptors:
        if not select.select([descriptor], [], [], 30)[0]:
            fail("a process of the node does not end within 30 s after SIGKILL")
        os.close(descriptor)


def main():
    verb, arguments = (sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:])
    if verb == "build":
        os.execv(f"{HERE}/../../../tools/setup.sh", ["setup.sh", "k8s"])
    if verb not in ("up", "down", "load", "kubectl", "ctr", "exec"):
        sys.exit(__doc__)
    if os.geteuid() != 0:
        fail("only root can have a node")
    node = Node(os.environ.get("KUBE_NODE", "imgfleet"))
    if verb in ("up", "down"):
        os.makedirs(NODES, mode=0o700, exist_ok=True)
        lock = os.open(NODES, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        getattr(node, verb)()
    elif verb == "load":
        for archive in arguments:
            if subprocess.run(node.ctr("images", "import", archive), check=False).returncode != 0:
                fail(f"{archive} is not loaded (above)")
    else:
        command = {"kubectl": node.kubectl, "ctr": node.ctr, "exec": node.inside}[verb](*arguments)
        os.execvp(command[0], command)


if __name__ == "__main__":
    main()
