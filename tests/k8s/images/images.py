#!/usr/bin/python3
"""Builds imgfleet's images and the one of the tests' tools, without a registry and without Docker, as root on Debian 12.

    tests/k8s/images/images.py [coordinator] [worker] [gateway] [test-tools]     all four if none is named

prints an oci-archive a line, below $IMGFLEET_IMAGES or else $IMGFLEET_CACHE/images: imgfleet-worker.tar holds localhost/imgfleet-worker:test, and so on. The
images come from deploy/Containerfile, with buildah instead of `docker build`, on a Debian 12 that debootstrap makes from where this
machine's apt gets its packages. What has not changed since the last time is not built again; a changed program takes Bazel's disk
cache, $IMGFLEET_DISK_CACHE or else the one of `make build`, Arrow what tools/setup.sh has installed.
"""

import fcntl
import functools
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[3]
CACHE = pathlib.Path(os.environ.get("IMGFLEET_CACHE") or pathlib.Path.home() / ".cache/imgfleet")
FOLDER = pathlib.Path(os.environ.get("IMGFLEET_IMAGES") or CACHE / "images")
ROLES = ("coordinator", "worker", "gateway")
TOOLS = "test-tools"
SUITE = "bookworm"
BASE = "localhost/imgfleet-debian:12"
LARGEST_MIB = 8192  # Of buildah's storage.


def image(name):
    return f"localhost/imgfleet-{name}:test"


def say(text):
    print(f"images: {text}", file=sys.stderr, flush=True)


def run(command, log, **options):
    """A command whose output is only shown if it fails."""
    with open(log, "ab") as out:
        done = subprocess.run([str(part) for part in command], stdout=out, stderr=out, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"images: {' '.join(map(str, command))} failed ({done.returncode}); {log} ends:\n"
                 + "\n".join(pathlib.Path(log).read_text("utf-8", "replace").splitlines()[-40:]))


def buildah(*arguments, log):
    """With images of its own, and below TMPDIR its `--mount=type=cache`."""
    store = ["--root", FOLDER / "storage", "--runroot", FOLDER / "run"]
    run(["buildah", *store, *arguments], log, env={**os.environ, "TMPDIR": str(FOLDER / "tmp")})


def digest(*parts):
    """Of texts, and of files with their names and contents."""
    total = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, pathlib.Path) else part.encode()
        name = str(part.relative_to(TOP)) if isinstance(part, pathlib.Path) else ""
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def tracked(*folders):
    """Files of the checkout below these folders, those included that git does not know yet."""
    listing = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                              "--", *folders], cwd=TOP, check=True, capture_output=True)
    names = sorted(set(filter(None, listing.stdout.decode().split("\0"))))
    return [TOP / name for name in names if (TOP / name).is_file()]


def context():
    """The files that deploy/Containerfile is given, by .dockerignore's own list."""
    rules = (TOP / ".dockerignore").read_text("utf-8").splitlines()
    return tracked(*(rule[1:] for rule in rules if rule.startswith("!")))


@functools.cache
def mirrors():
    """Where this machine's apt gets Debian's packages: lines of a sources.list, the suite itself first."""
    found = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)",
                            "Created-By: Packages"], check=True, capture_output=True, text=True).stdout
    wanted = (f"{SUITE} main", f"{SUITE}-updates main", f"{SUITE}-security main")
    lines = {}
    for line in found.splitlines():
        address, suite, component = line.split()[:3]
        if f"{suite} {component}" in wanted and line.split()[3:4] == ["Debian"]:
            lines.setdefault(wanted.index(f"{suite} {component}"), f"deb {address} {suite} {component}")
    if 0 not in lines:
        sys.exit(f"images: apt knows no source of Debian's {SUITE}. Is this Debian 12, and has `apt-get update` been run?")
    return [lines[place] for place in sorted(lines)]


def debian(log):
    """The base of all that is built, once; what it is, as text."""
    sources = mirrors()
    what = digest("1", *sources)
    archive = FOLDER / f"debian-{what[:12]}.tar"
    if not archive.exists():
        say(f"installing Debian's {SUITE} into {archive}")
        with tempfile.TemporaryDirectory(prefix="debian.", dir=FOLDER) as root:
            run(["debootstrap", "--variant=minbase", SUITE, root, sources[0].split()[1]], log)
            pathlib.Path(root, "etc/apt/sources.list").write_text("\n".join(sources) + "\n", "utf-8")
            for settings in ("Acquire", "APT::Install-Recommends"):
                found = subprocess.run(["apt-config", "dump", settings], check=True, capture_output=True, text=True).stdout
                kept = [line for line in found.splitlines() if "::Proxy" in line or not line.startswith("Acquire")]
                pathlib.Path(root, f"etc/apt/apt.conf.d/90{settings[:7].lower()}").write_text("\n".join(kept) + "\n", "utf-8")
            for emptied in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(pathlib.Path(root, emptied))
                pathlib.Path(root, emptied, "partial").mkdir(parents=True)
            run(["tar", "-C", root, "--numeric-owner", "--exclude=./dev/*", "-cf", f"{archive}.new", "."], log)
        os.rename(f"{archive}.new", archive)
    with tempfile.TemporaryDirectory(prefix="base.", dir=FOLDER) as folder:
        os.link(archive, pathlib.Path(folder, "debian.tar"))
        pathlib.Path(folder, "Containerfile").write_text(
            "FROM scratch\nADD debian.tar /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", "utf-8")
        buildah("bud", "--isolation", "chroot", "--layers", "-t", BASE, folder, log=log)
    return what


def bud(name, log, *arguments):
    """An image by `docker build`'s rules; layers that have not changed are taken from the last time."""
    buildah("bud", "--isolation", "chroot", "--layers", "--build-arg", f"BASE={BASE}", "-t", name, *arguments, log=log)


def build_role(role, log):
    caches = FOLDER / "tmp/buildah-cache"
    caches.mkdir(parents=True, exist_ok=True)
    mounted, kept = caches / "imgfleet-bazel", os.environ.get("IMGFLEET_DISK_CACHE") or CACHE / "bazel"
    os.makedirs(kept, exist_ok=True)
    if not mounted.is_symlink() or os.readlink(mounted) != str(kept):
        mounted.unlink(missing_ok=True)
        mounted.symlink_to(kept)
    arrow = CACHE / "arrow"
    if not arrow.exists():
        run([TOP / "tools/setup.sh", "parquet"], log)
    bud(image(role), log, "-f", TOP / "deploy/Containerfile", "--target", role,
        "--volume", f"{arrow}:/var/cache/imgfleet/arrow:ro", TOP)


def build_tools(log):
    with tempfile.TemporaryDirectory(prefix="tools.", dir=FOLDER) as folder:
        for path in tracked("tests", "proto"):
            copy = pathlib.Path(folder, "checkout", path.relative_to(TOP))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        pathlib.Path(folder, "passwd-line").write_text("imgfleet:x:65532:65532:imgfleet:/tmp:/bin/sh\n", "utf-8")
        bud(image(TOOLS), log, "-f", TOP / "tests/k8s/images/test-tools.Containerfile", folder)


def build(wanted, log):
    """Where an archive is of the same content already, it is only named."""
    (FOLDER / "tmp").mkdir(exist_ok=True)
    log.write_text("", "utf-8")
    base = None
    for name in wanted:
        archive, stamp = FOLDER / f"imgfleet-{name}.tar", FOLDER / f"imgfleet-{name}.stamp"
        own = [TOP / "tests/k8s/images/test-tools.Containerfile", *tracked("tests", "proto")] if name == TOOLS else \
            [TOP / "deploy/Containerfile", TOP / ".dockerignore", *context()]
        what = digest(*mirrors(), *own)
        if not (archive.exists() and stamp.exists() and stamp.read_text("utf-8") == what):
            stamp.unlink(missing_ok=True)
            base = base or debian(log)
            say(f"building imgfleet-{name}")
            build_tools(log) if name == TOOLS else build_role(name, log)
            archive.unlink(missing_ok=True)
            buildah("push", "--compression-format", "zstd", image(name), f"oci-archive:{archive}:{image(name)}", log=log)
            stamp.write_text(what, "utf-8")
        print(archive, flush=True)
    # Layers of programs that were built long ago are of no use any more; which those are, buildah cannot tell.
    store = FOLDER / "storage"
    if base and int(subprocess.run(["du", "-sm", store], check=True, capture_output=True, text=True).stdout.split()[0]) > LARGEST_MIB:
        say(f"{store} has grown beyond {LARGEST_MIB} MiB and is emptied")
        shutil.rmtree(store)


def main(wanted):
    if unknown := set(wanted) - {*ROLES, TOOLS}:
        sys.exit(f"images: no image {', '.join(sorted(unknown))}; there are {', '.join(ROLES)} and {TOOLS}")
    if os.getuid() != 0:
        sys.exit("images: debootstrap and buildah need root here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build(wanted or (*ROLES, TOOLS), FOLDER / "log")


if __name__ == "__main__":
    main(sys.argv[1:])
