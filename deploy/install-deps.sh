#!/usr/bin/env bash
# install-deps.sh serve|test|vm…: installs the Debian/Ubuntu packages that building, serving and testing Berth need, and
# only those that are missing. It says what it does; where all is there it says and does nothing.
set -euo pipefail

need=()
# want COMMAND-OR-FILE PACKAGE…
want() {
  local probe=$1
  shift
  case $probe in
    /*) [ -e "$probe" ] || need+=("$@") ;;
    *) command -v "$probe" >/dev/null || need+=("$@") ;;
  esac
}

for what in "$@"; do
  case $what in
    serve)
      want pkg-config pkg-config                          # finds libseccomp
      want gcc gcc                                        # runc is C in part
      want /usr/include/stdio.h libc6-dev
      want /usr/include/seccomp.h libseccomp-dev          # its system call filter
      want mkfs.ext4 e2fsprogs                            # session disks
      ;;
    test)
      want chromium chromium                              # the browser tests
      want nsenter util-linux
      want strace strace                                  # debugs a program in a container
      want docker-registry docker-registry                # images are pushed to it and pulled from it, in a session
      ;;
    vm)
      want mmdebstrap mmdebstrap                          # the virtual machine of make test-vm: its disk
      want /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
      want qemu-system-x86_64 qemu-system-x86
      want mkfs.ext4 e2fsprogs
      ;;
    *)
      echo "install-deps.sh: unknown: $what (serve, test, vm)" >&2
      exit 2
      ;;
  esac
done
[ ${#need[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "berth needs: ${need[*]} (Debian's names). Install them with your system's package manager, then try again." >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "berth needs: ${need[*]}. Install them as root: apt-get install ${need[*]}" >&2
  exit 1
fi
echo "Installing ${need[*]} (usually under a minute)…"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
# The package starts its service; the tests run the program by themselves.
case " ${need[*]} " in
  *" docker-registry "*) [ ! -d /run/systemd/system ] || systemctl disable --quiet --now docker-registry ;;
esac
