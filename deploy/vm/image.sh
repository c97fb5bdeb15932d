#!/usr/bin/env bash
# image.sh DIR: makes the disk of a Debian with systemd in DIR, with its kernel and initrd beside it. What DIR has is
# left as it is. It holds nothing of Berth: that comes on a second disk (test.sh), so that one image serves every build.
#
#   BERTH_VM_SUITE   suite of the Debian (bookworm: systemd 252; trixie: systemd 257)
set -euo pipefail

dir=$1
suite=${BERTH_VM_SUITE:-bookworm}
here=$(cd "$(dirname "$0")" && pwd)
disk_size=8G # sparse; the sessions' disks are on it too

# systemd and a kernel, what deploy/install-deps.sh would install to serve, and what the checks look with.
packages=systemd-sysv,dbus,linux-image-cloud-amd64,kmod,apparmor,ca-certificates,iproute2,e2fsprogs,busybox-static
packages+=,nftables,curl,jq,procps,iputils-ping

[[ -e $dir/disk.img ]] && exit 0
[[ $EUID == 0 ]] || { echo "vm: needs root to make an image" >&2; exit 1; }
echo "vm: making a Debian $suite of packages (1 to 3 minutes, once)" >&2
mkdir -p "$dir"
work=$(mktemp -d "$dir/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT

mmdebstrap --variant=minbase --format=directory --include="$packages" \
  --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
  --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --customize-hook="copy-in '$here/guest/berth-checks.service' /etc/systemd/system" \
  --customize-hook='chroot "$1" systemctl enable berth-checks.service systemd-networkd.service' \
  --customize-hook="copy-in '$here/guest/80-vm.network' /etc/systemd/network" \
  --customize-hook='echo vm > "$1/etc/hostname"; echo 127.0.0.1 localhost vm > "$1/etc/hosts"' \
  --customize-hook='echo /dev/vda / ext4 defaults 0 1 > "$1/etc/fstab"; rm -f "$1"/var/cache/apt/*.bin' \
  "$suite" "$work/root" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }

cp "$work"/root/boot/vmlinuz-* "$work/vmlinuz"
cp "$work"/root/boot/initrd.img-* "$work/initrd"
truncate -s "$disk_size" "$work/disk.img"
mkfs.ext4 -q -F -d "$work/root" "$work/disk.img"
mv "$work/vmlinuz" "$work/initrd" "$dir"
mv "$work/disk.img" "$dir/disk.img" # last: it says that all is there
