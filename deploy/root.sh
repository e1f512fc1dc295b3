#!/usr/bin/env bash
# Lays out the root of one role's image: its programs, what they load, and what that needs, nothing else.
#
#   deploy/root.sh FOLDER PROGRAM...     e.g. deploy/root.sh /image/worker bazel-bin/worker/imgfleet-worker
#
# deploy/Containerfile copies FOLDER into an empty image; //tests/k8s/images:image_test runs the programs in one. Debian's folders are used as
# they are (/usr merged), so that the loader finds libraries without a cache. What is laid out:
#   /usr/bin                        the programs, stripped
#   /usr/lib, /usr/lib64            the loader, and all that it loads for them
#   /usr/lib/imgfleet               Apache Arrow's libraries with their licences (whoever reads Parquet)
#   /usr/share/doc/*/copyright      licences of the Debian packages that files are from
#   /var/lib/dpkg/status.d          which packages those are, for scanners
#   /etc                            one ordinary user, certificate authorities, OpenSSL's settings, where hosts are looked up
#   /tmp                            whose content no image has: a place to mount memory or a disk on
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,5p' "$0" >&2; exit 2; }
root=$1
shift
fail() { echo "root.sh: $*" >&2; exit 1; }
[ ! -e "$root" ] || fail "$root is there already"
umask 022

mkdir -p "$root"/{etc/ssl/certs,proc,tmp,usr/{bin,lib/ssl,lib64,share/doc},var/lib/dpkg/status.d}
chmod 1777 "$root/tmp"
ln -s usr/bin usr/lib usr/lib64 "$root/"

# Every library that the loader would load for a program, as it is named on this machine.
libraries_of() {
  local found
  found=$(ldd "$@") || fail "ldd $*: $found"
  if grep 'not found' <<< "$found" >&2; then fail "the above is not installed"; fi
  sed -nE 's/^\s+(.* => )?(\/\S+) \(0x[0-9a-f]+\)$/\2/p' <<< "$found" | sort -u
}

shipped=() # Files of Debian packages, for their licences.
for program in "$@"; do
  install -m 755 -s "$program" "$root/usr/bin/"
done
while read -r library; do
  case $library in
    /lib64/* | /lib/* | /usr/lib/*)
      place=$root/usr/${library#/usr}
      shipped+=("$library")
      ;;
    *)
      place=$root/usr/lib/imgfleet/${library##*/}
      licences=$(dirname "$(dirname "$library")")/licenses
      [ -d "$licences" ] || fail "$library is of no Debian package and has no folder with licences"
      install -d "$root/usr/lib/imgfleet"
      [ -d "$root/usr/lib/imgfleet/licenses" ] || cp -rL "$licences" "$root/usr/lib/imgfleet/"
      ;;
  esac
  install -D -m 644 "$library" "$place"
  case $library in */ld-linux*) chmod 755 "$place" ;; esac
done < <(libraries_of "$@")

# What programs are built with that leaves no library behind.
packages=(libcli11-dev libabsl-dev ca-certificates openssl base-files)
# The same file is known to dpkg below /lib or below /usr/lib.
mapfile -t -O "${#packages[@]}" packages < <({ dpkg-query --search "${shipped[@]}" "${shipped[@]/#/\/usr}" 2> /dev/null || true; } |
  sed -E 's/(:[a-z0-9]+)?(, .*)?: .*//' | sort -u)
[ "${#packages[@]}" -gt 10 ] || fail "dpkg knows the packages of too few of: ${shipped[*]}"
for package in "${packages[@]}"; do
  [ -e "/usr/share/doc/$package/copyright" ] || continue
  install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
  dpkg-query --status "$package" > "$root/var/lib/dpkg/status.d/$package"
done

install -m 644 /usr/lib/os-release "$root/usr/lib/os-release"
ln -s ../usr/lib/os-release "$root/etc/os-release"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
install -m 644 /etc/ssl/openssl.cnf "$root/etc/ssl/"
ln -s /etc/ssl/certs /etc/ssl/openssl.cnf "$root/usr/lib/ssl/"
echo 'imgfleet:x:65532:65532:imgfleet:/:/sbin/nologin' > "$root/etc/passwd"
echo 'imgfleet:x:65532:' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
