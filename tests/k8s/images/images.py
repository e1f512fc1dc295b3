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
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[2]
CACHE = pathlib.Path(os.environ.get("IMGFLEET_CACHE") or pathlib.Path.home() / ".cache/imgfleet")
FOLDER = pathlib.Path(os.environ.get("IMGFLEET_IMAGES") or CACHE / "images")
ROLES = ("coordinator", "worker", "gateway")
TOOLS = "test-tools"
SUITE = "bookworm"
PARTS = ("build", "parquet", "image")  # Of tools/debian-packages.txt, as deploy/Containerfile has them.
LOG = FOLDER / "log"


def image(name):
    return f"localhost/imgfleet-{name}:test"


def say(text):
    print(f"images: {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """What a command prints. If it fails, so does this, with the end of its output, which goes to LOG."""
    words = [str(word) for word in command]
    with open(LOG, "a+", encoding="utf-8", errors="replace") as log:
        print("$", *words, file=log, flush=True)
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=log, text=True, check=False, **options)
        log.write(done.stdout)
        if done.returncode != 0:
            log.seek(0)
            sys.exit("".join(log.readlines()[-40:]) + f"images: the above failed ({done.returncode}); all of it is in {LOG}")
    return done.stdout


def buildah(*arguments):
    """With images of its own, and below TMPDIR its `--mount=type=cache`."""
    store = ["--root", FOLDER / "storage", "--runroot", FOLDER / "run"]
    return run("buildah", *store, *arguments, env={**os.environ, "TMPDIR": str(FOLDER / "tmp")})


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


def debian():
    """The archive of a minimal Debian, made once for each choice of mirrors."""
    archive = FOLDER / f"debian-{digest('1', *mirrors())[:12]}.tar"
    if not archive.exists():
        say(f"installing Debian's {SUITE} into {archive}")
        with tempfile.TemporaryDirectory(prefix="debian.", dir=FOLDER) as root:
            run("debootstrap", "--variant=minbase", SUITE, root, mirrors()[0].split()[1])
            pathlib.Path(root, "etc/apt/sources.list").write_text("\n".join(mirrors()) + "\n", "utf-8")
            settings = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout.splitlines()
            proxies = [line for line in settings if line.startswith("Acquire::") and "::Proxy" in line]
            pathlib.Path(root, "etc/apt/apt.conf.d/90proxies").write_text("".join(line + "\n" for line in proxies), "utf-8")
            for emptied in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(pathlib.Path(root, emptied))
                pathlib.Path(root, emptied, "partial").mkdir(parents=True)
            run("tar", "-C", root, "--numeric-owner", "--exclude=./dev/*", "-cf", f"{archive}.new", ".")
        os.rename(f"{archive}.new", archive)
    return archive


def bud(name, *arguments):
    buildah("bud", "--isolation", "chroot", "-t", name, *arguments)


def kept(kind, make, *content):
    """The name of an image that depends on `content` alone; make(name) builds it where it is not there, and others of its kind go."""
    prefix = f"localhost/imgfleet-{kind}"
    name = f"{prefix}:{digest(*content)[:12]}"
    known = buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
    if name not in known:
        for old in (each for each in known if each.startswith(prefix + ":")):
            buildah("rmi", "--force", old)
        say(f"building {name}")
        make(name)
    return name


def base():
    def make(name):
        with tempfile.TemporaryDirectory(prefix="base.", dir=FOLDER) as folder:
            os.link(debian(), pathlib.Path(folder, "debian.tar"))
            path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            pathlib.Path(folder, "Containerfile").write_text(f"FROM scratch\nADD debian.tar /\nENV PATH={path}\n", "utf-8")
            bud(name, folder)

    return kept("debian", make, *mirrors())


def build_packages():
    """What tools/setup.sh installs for deploy/Containerfile; new where the list of packages is."""
    def make(name):
        with tempfile.TemporaryDirectory(prefix="packages.", dir=FOLDER) as folder:
            pathlib.Path(folder, "tools").mkdir()
            for each in ("setup.sh", "debian-packages.txt"):
                shutil.copy(TOP / "tools" / each, pathlib.Path(folder, "tools"))
            bud(name, "--build-arg", f"BASE={base()}", "-f", recipe, *arrow(), folder)

    recipe, sections = HERE / "build-packages.Containerfile", {}
    for line in (TOP / "tools/debian-packages.txt").read_text("utf-8").splitlines():
        if title := re.fullmatch(r"# ([a-z]+)", line):
            packages = sections.setdefault(title.group(1), [])
        elif sections and line:
            packages.append(line)
    return kept("build-packages", make, *mirrors(), recipe, *(package for part in PARTS for package in sections[part]))


def test_packages():
    recipe = HERE / "test-packages.Containerfile"
    return kept("test-packages", lambda name: bud(name, "--build-arg", f"BASE={base()}", "-f", recipe, HERE), *mirrors(), recipe)


def arrow():
    """Options that give a build what tools/setup.sh has installed of Apache Arrow."""
    run(TOP / "tools/setup.sh", "parquet")
    return "--volume", f"{CACHE / 'arrow'}:/var/cache/imgfleet/arrow:ro"


def build_role(role):
    caches = FOLDER / "tmp/buildah-cache"
    caches.mkdir(parents=True, exist_ok=True)
    mounted, cache = caches / "imgfleet-bazel", os.environ.get("IMGFLEET_DISK_CACHE") or CACHE / "bazel"
    os.makedirs(cache, exist_ok=True)
    if not mounted.is_symlink() or os.readlink(mounted) != str(cache):
        mounted.unlink(missing_ok=True)
        mounted.symlink_to(cache)
    # With layers: the three images have one build stage.
    bud(image(role), "--layers", "--build-arg", f"BASE={build_packages()}", "--target", role, "-f", TOP / "deploy/Containerfile",
        *arrow(), TOP)


def build_tools():
    with tempfile.TemporaryDirectory(prefix="tools.", dir=FOLDER) as folder:
        for path in tracked("tests", "proto"):
            copy = pathlib.Path(folder, path.relative_to(TOP))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        bud(image(TOOLS), "--build-arg", f"BASE={test_packages()}", "-f", HERE / "test-tools.Containerfile", folder)


def build(wanted):
    """Where an archive is of the same content already, it is only named."""
    (FOLDER / "tmp").mkdir(exist_ok=True)
    LOG.write_text("", "utf-8")
    built = False
    for name in wanted:
        archive, stamp = FOLDER / f"imgfleet-{name}.tar", FOLDER / f"imgfleet-{name}.stamp"
        own = tracked("tests", "proto") if name == TOOLS else [TOP / "deploy/Containerfile", TOP / ".dockerignore", *context()]
        what = digest(*mirrors(), *own)
        if not (archive.exists() and stamp.exists() and stamp.read_text("utf-8") == what):
            if not built:
                buildah("rm", "--all")  # What a build left that was cut off.
            built = True
            stamp.unlink(missing_ok=True)
            say(f"building imgfleet-{name}")
            build_tools() if name == TOOLS else build_role(name)
            archive.unlink(missing_ok=True)
            # gzip, which registries have, for the images whose sizes are told (sizes.py); the other is large.
            packed = "zstd" if name == TOOLS else "gzip"
            buildah("push", "--compression-format", packed, image(name), f"oci-archive:{archive}:{image(name)}")
            stamp.write_text(what, "utf-8")
        print(archive, flush=True)
    if built:
        buildah("rmi", "--prune")  # The build stage, and images that have been built anew.


def main(wanted):
    if unknown := set(wanted) - {*ROLES, TOOLS}:
        sys.exit(f"images: no image {', '.join(sorted(unknown))}; there are {', '.join(ROLES)} and {TOOLS}")
    if os.getuid() != 0:
        sys.exit("images: debootstrap and buildah need root here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build(wanted or (*ROLES, TOOLS))


if __name__ == "__main__":
    main(sys.argv[1:])
